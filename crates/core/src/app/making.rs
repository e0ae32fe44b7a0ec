//! `Making`: a large `bytes` or `str` of the application's that is filled part by part, so that others are served
//! between the parts. The memory of 16 MiB is faulted in as it is written: that alone takes 4 to 23 ms, by the machine.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::raw::c_char;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Bytes from which an object is made in parts.
pub(crate) const LARGE: usize = 1024 * 1024;

/// See the module's documentation.
pub(crate) struct Making {
    /// What is not copied yet. Parts are copied from the end on, and their memory is given back at once: to give it back
    /// whole would take 2 to 4 ms.
    data: Vec<u8>,
    is_text: bool,
    /// Bytes of a text that were measured.
    measured: usize,
    /// Characters of a text that were measured; of those, once there is an object, the ones that are not copied yet.
    characters: usize,
    /// The largest byte of a text so far, which tells how wide its characters are.
    largest: u8,
    /// Not complete, so nobody else knows it.
    object: Option<Py<PyAny>>,
}

impl Making {
    /// Begins a `bytes` of `data`; a `str`, if it `is_text` and so valid UTF-8.
    pub(crate) fn new(data: Vec<u8>, is_text: bool) -> Self {
        Self {
            data,
            is_text,
            measured: 0,
            characters: 0,
            largest: 0,
            object: None,
        }
    }

    /// True for a `str`.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }

    /// Does as many parts as this pass of the loop has time for, none if another object of the thread has just had
    /// it. The object, if that completes it; it is not called again then.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn go_on(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let begun = Instant::now();
        let key = std::ptr::from_ref(self).addr();
        let rest = match LAST.get() {
            Some(last) if last.key != key && begun < last.next => return Ok(None),
            Some(last) if self.has_begun() => begun.saturating_duration_since(last.ended),
            _ => Duration::ZERO, // this thread may have been idle
        };
        let until = begun + (rest / SHARE).max(LEAST);
        loop {
            let made = self.next_part(py)?;
            let ended = Instant::now();
            let next = ended + (ended - begun);
            LAST.set(Some(Last { key, ended, next }));
            if made.is_some() || ended >= until {
                return Ok(made);
            }
        }
    }

    fn has_begun(&self) -> bool {
        self.measured > 0 || self.object.is_some()
    }

    /// Does the next part.
    fn next_part(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match &self.object {
            None if self.is_text => {
                self.measure(py)?;
                return Ok(None);
            }
            None => self.object = Some(new_bytes(py, self.data.len())?),
            Some(object) => {
                let piece = &self.data[last_part(&self.data, self.is_text)..];
                let left = self.data.len() - piece.len();
                if self.is_text {
                    self.characters -= copy_text(object.bind(py), self.characters, piece)?;
                } else {
                    let room = room_of(object.bind(py), self.data.len());
                    copy(piece, &mut room[left..]);
                }
                self.data.truncate(left);
                self.data.shrink_to_fit();
            }
        }
        let is_complete = self.data.is_empty();
        Ok(self.object.take_if(|_| is_complete))
    }

    /// Looks at a part of the text. Behind the last one the object is made.
    fn measure(&mut self, py: Python<'_>) -> PyResult<()> {
        let end = self.data.len().min(self.measured + PART);
        let piece = &self.data[self.measured..end];
        self.largest = piece.iter().copied().fold(self.largest, u8::max);
        self.characters += piece.iter().filter(|byte| !is_inside(**byte)).count();
        self.measured = end;
        if end == self.data.len() {
            self.object = Some(new_text(py, self.characters, self.largest)?);
        }
        Ok(())
    }
}

/// The last parts of any object on this thread.
#[derive(Clone, Copy)]
struct Last {
    /// The object's address, which is compared only.
    key: usize,
    ended: Instant,
    /// Those of another object are not before: this one may go on in the next pass, unless nobody comes back for it.
    next: Instant,
}

/// A `bytes` of `data`, at once. A large one is filled with the interpreter released: the event loop's thread may need it.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn made_at_once(py: Python<'_>, data: BytesMut) -> PyResult<Bound<'_, PyBytes>> {
    if data.len() < LARGE {
        return Ok(PyBytes::new(py, &data));
    }
    let object = new_bytes(py, data.len())?.into_bound(py);
    let room = room_of(&object, data.len());
    py.detach(move || {
        copy(&data, room);
        drop(data);
    });
    Ok(object.cast_into()?)
}

/// Where the last part of `data` begins; that of a text has whole characters.
fn last_part(data: &[u8], is_text: bool) -> usize {
    let mut start = data.len().saturating_sub(PART);
    while is_text && data.get(start).is_some_and(|byte| is_inside(*byte)) {
        start += 1;
    }
    start
}

/// True for a byte of UTF-8 that begins no character.
fn is_inside(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// A `bytes` of `len` bytes that are not set yet.
fn new_bytes(py: Python<'_>, len: usize) -> PyResult<Py<PyAny>> {
    let len = ffi::Py_ssize_t::try_from(len).map_err(|_| PyMemoryError::new_err(()))?;
    // SAFETY: without a source it allocates only. The result is a new reference, or null with an exception set.
    unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null::<c_char>(), len);
        Ok(Bound::from_owned_ptr_or_err(py, object)?.unbind())
    }
}

/// A `str` of so many characters that are not set yet, whose UTF-8 has `largest` as its largest byte.
fn new_text(py: Python<'_>, characters: usize, largest: u8) -> PyResult<Py<PyAny>> {
    let len = ffi::Py_ssize_t::try_from(characters).map_err(|_| PyMemoryError::new_err(()))?;
    let widest = match largest {
        0..0x80 => 0x7f,
        0x80..0xc4 => 0xff,
        0xc4..0xf0 => 0xffff,
        _ => 0x10_ffff,
    };
    // SAFETY: it allocates only. The result is a new reference, or null with an exception set.
    unsafe {
        let object = ffi::PyUnicode_New(len, widest);
        Ok(Bound::from_owned_ptr_or_err(py, object)?.unbind())
    }
}

/// The memory of what [`new_bytes`] has made for `len` bytes.
#[expect(
    clippy::mut_from_ref,
    reason = "the memory is Python's, and each caller takes it once"
)]
fn room_of<'a>(object: &'a Bound<'_, PyAny>, len: usize) -> &'a mut [MaybeUninit<u8>] {
    // SAFETY: it is a `bytes` of that length. It is not complete, so nobody else reads or writes it.
    unsafe {
        let start = ffi::PyBytes_AsString(object.as_ptr());
        std::slice::from_raw_parts_mut(start.cast(), len)
    }
}

/// Copies `piece` to the start of `room`.
fn copy(piece: &[u8], room: &mut [MaybeUninit<u8>]) {
    for (to, from) in room.iter_mut().zip(piece) {
        to.write(*from);
    }
}

/// Copies `piece` into what [`new_text`] has made, so that it ends behind `end` characters. The number of its own.
fn copy_text(object: &Bound<'_, PyAny>, end: usize, piece: &[u8]) -> PyResult<usize> {
    let text = PyString::from_bytes(object.py(), piece)?;
    let count = text.len()?;
    let start = end.saturating_sub(count);
    // SAFETY: both are `str`. The function checks that the one written to has room for so many characters of that
    // width, that it is not shared, and has no hash.
    let copied = unsafe {
        ffi::PyUnicode_CopyCharacters(
            object.as_ptr(),
            start as ffi::Py_ssize_t,
            text.as_ptr(),
            0,
            count as ffi::Py_ssize_t,
        )
    };
    match copied {
        ..0 => Err(PyErr::fetch(object.py())),
        _ => Ok(count),
    }
}

thread_local! {
    static LAST: Cell<Option<Last>> = const { Cell::new(None) };
}

/// Bytes of a part: a quarter of a millisecond where memory is slow to fault in.
const PART: usize = 256 * 1024;
/// Time that a pass has for parts.
const LEAST: Duration = Duration::from_micros(500);
/// Where passes are long for other reasons, this part of the time between two of them is for objects: others would notice
/// nothing of less, and 16 MiB would take seconds.
const SHARE: u32 = 10;
