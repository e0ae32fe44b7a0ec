//! `Row`: an exchange in progress, as a reader of the page sees it.

use std::sync::atomic::{AtomicU64, Ordering};

use granian_proto::RequestHead;

use super::Metrics;
use super::layout::{self, at, ring, row};
use crate::exchange::peer::Address;

/// See the module's documentation: a row of the page, or one of its own where all are taken.
pub(super) enum Row {
    Shared(u16),
    Own(Box<[AtomicU64; row::WORDS]>),
}

impl Row {
    /// A row for the request of `head`, which has come from `client` at `arrived`.
    pub(super) fn new(
        metrics: &Metrics,
        head: &RequestHead,
        client: &Address,
        arrived: u64,
    ) -> Self {
        let this = match metrics.free.borrow_mut().pop() {
            Some(index) => Self::Shared(index),
            None => Self::Own(Box::new([const { AtomicU64::new(0) }; row::WORDS])),
        };
        this.set(metrics, row::ARRIVED, arrived);
        this.set(metrics, row::READY, arrived);
        for word in [row::CALLED, row::FIRST, row::RECEIVED, row::SENT] {
            this.set(metrics, word, 0);
        }
        let method = this.write(
            metrics,
            row::METHOD,
            head.method().as_bytes(),
            row::METHOD_BYTES,
        );
        let path = this.write(metrics, row::PATH, head.path(), row::PATH_BYTES);
        let (kind, port) = this.write_address(metrics, client);
        let protocol = layout::protocol(head.version()) as u64;
        let facts = (protocol << 16) | (method << 24) | (path << 32) | (kind << 40) | (port << 48);
        this.set(metrics, row::FACTS, facts);
        // Last of all, and with another number: a reader that has begun before sees the difference.
        let number = (this.get(metrics, row::STATE) >> row::NUMBER).wrapping_add(1);
        let word = this.word(metrics, row::STATE);
        word.store((number << row::NUMBER) | row::IS_TAKEN, Ordering::Release);
        this
    }

    pub(super) fn get(&self, metrics: &Metrics, word: usize) -> u64 {
        self.word(metrics, word).load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, metrics: &Metrics, word: usize, value: u64) {
        self.word(metrics, word).store(value, Ordering::Relaxed);
    }

    pub(super) fn add(&self, metrics: &Metrics, word: usize, count: u64) {
        self.set(metrics, word, self.get(metrics, word).wrapping_add(count));
    }

    /// True if one of the state's `bits` is set.
    pub(super) fn is(&self, metrics: &Metrics, bits: u64) -> bool {
        self.get(metrics, row::STATE) & bits != 0
    }

    /// Sets some of the state's bits, and clears others.
    pub(super) fn change(&self, metrics: &Metrics, set: u64, clear: u64) {
        let state = self.get(metrics, row::STATE);
        self.set(metrics, row::STATE, (state & !clear) | set);
    }

    pub(super) fn status(&self, metrics: &Metrics) -> u16 {
        // The lowest 16 bits.
        (self.get(metrics, row::FACTS) & 0xffff) as u16
    }

    pub(super) fn set_status(&self, metrics: &Metrics, status: u16) {
        let facts = self.get(metrics, row::FACTS) & !0xffff;
        self.set(metrics, row::FACTS, facts | u64::from(status));
    }

    /// Keeps the exchange, which ended at `ended`, in the ring.
    pub(super) fn keep(&self, metrics: &Metrics, ended: u64, is_cut: bool) {
        let page = &metrics.page;
        let count = page.word(at::RING_COUNT).load(Ordering::Relaxed);
        let entry = at::RING + (count as usize % layout::RING) * ring::WORDS;
        page.word(entry + ring::NUMBER).store(0, Ordering::Release);
        page.word(entry + ring::ENDED)
            .store(ended, Ordering::Relaxed);
        page.word(entry + ring::CUT)
            .store(u64::from(is_cut), Ordering::Relaxed);
        for word in 0..row::WORDS {
            let value = self.get(metrics, word);
            page.word(entry + ring::ROW + word)
                .store(value, Ordering::Relaxed);
        }
        page.word(entry + ring::NUMBER)
            .store(count + 1, Ordering::Release);
        page.word(at::RING_COUNT)
            .store(count + 1, Ordering::Release);
    }

    /// Gives the row back.
    pub(super) fn free(self, metrics: &Metrics) {
        self.change(metrics, 0, (1 << row::NUMBER) - 1);
        if let Self::Shared(index) = self {
            metrics.free.borrow_mut().push(index);
        }
    }

    fn word<'a>(&'a self, metrics: &'a Metrics, word: usize) -> &'a AtomicU64 {
        match self {
            Self::Shared(index) => {
                let first = at::ROWS + usize::from(*index) * row::WORDS;
                metrics.page.word(first + word)
            }
            Self::Own(words) => &words[word],
        }
    }

    /// Writes the first `most` bytes of a text; their number.
    fn write(&self, metrics: &Metrics, first: usize, text: &[u8], most: usize) -> u64 {
        let text = &text[..text.len().min(most)];
        for (word, piece) in text.chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..piece.len()].copy_from_slice(piece);
            self.set(metrics, first + word, u64::from_le_bytes(bytes));
        }
        text.len() as u64
    }

    /// Writes the client's address; its kind and port.
    fn write_address(&self, metrics: &Metrics, address: &Address) -> (u64, u64) {
        let Address::Ip(address) = address else {
            return (0, 0);
        };
        let port = u64::from(address.port());
        match address.ip() {
            std::net::IpAddr::V4(ip) => {
                self.write(metrics, row::ADDRESS, &ip.octets(), 16);
                (4, port)
            }
            std::net::IpAddr::V6(ip) => {
                self.write(metrics, row::ADDRESS, &ip.octets(), 16);
                (6, port)
            }
        }
    }
}
