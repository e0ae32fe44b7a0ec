//! `Routes`: the routes of a page, which applications name. The first hundred names have rows of their own, all others
//! share one.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::Page;
use super::layout::{self, at, route};
use crate::runtime::waker::lock;

/// See the module's documentation. Any thread may ask it.
pub struct Routes {
    page: Arc<Page>,
    /// The number of each route, from 1.
    numbers: Mutex<HashMap<Box<str>, u16>>,
}

impl Routes {
    /// Writes to `page`, which has no routes yet.
    pub fn new(page: Arc<Page>) -> Self {
        Self {
            page,
            numbers: Mutex::default(),
        }
    }

    /// The number of the route `name`, for `ResponseHead::set_route`; 0 for an empty name.
    pub fn number(&self, name: &str) -> u16 {
        if name.is_empty() {
            return 0;
        }
        let mut numbers = lock(&self.numbers);
        if let Some(number) = numbers.get(name) {
            return *number;
        }
        if numbers.len() >= layout::ROUTES - 1 {
            self.write(OTHERS, "other");
            return OTHERS;
        }
        // Below the number of rows.
        let number = numbers.len() as u16 + 1;
        self.write(number, name);
        numbers.insert(name.into(), number);
        number
    }

    fn write(&self, number: u16, name: &str) {
        let first = row_of(number);
        let mut end = name.len().min(route::NAME_BYTES);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        for (word, piece) in name.as_bytes()[..end].chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..piece.len()].copy_from_slice(piece);
            let word = self.page.word(first + route::NAME + word);
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        // Last of all: with it there is a name.
        let length = self.page.word(first + route::LENGTH);
        length.store(end as u64, Ordering::Release);
    }
}

/// The first word of a route, by its number; that of all others for a number that there is not.
pub(super) fn row_of(number: u16) -> usize {
    let row = usize::from(number).clamp(1, layout::ROUTES) - 1;
    at::ROUTES + row * route::WORDS
}

const OTHERS: u16 = layout::ROUTES as u16;
