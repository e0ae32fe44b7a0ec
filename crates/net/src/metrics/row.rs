//! `Row`: an exchange in progress, as a reader of the page sees it.

use std::net::IpAddr;
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
        let words = this.words(metrics);
        let set = |word: usize, value| words[word].store(value, Ordering::Relaxed);
        set(row::ARRIVED, arrived);
        set(row::READY, arrived);
        for word in [row::CALLED, row::FIRST, row::RECEIVED, row::SENT] {
            set(word, 0);
        }
        let method = write(&words[row::METHOD..row::PATH], head.method_bytes());
        let path = write(&words[row::PATH..], head.path());
        let (kind, port) = write_address(words, client);
        let protocol = layout::protocol(head.version()) as u64;
        let facts = (protocol << 16) | (method << 24) | (path << 32) | (kind << 40) | (port << 48);
        set(row::FACTS, facts);
        // Last of all, and with another number: a reader that has begun before sees the difference.
        let state = &words[row::STATE];
        let number = (state.load(Ordering::Relaxed) >> row::NUMBER).wrapping_add(1);
        state.store((number << row::NUMBER) | row::IS_TAKEN, Ordering::Release);
        this
    }

    pub(super) fn get(&self, metrics: &Metrics, word: usize) -> u64 {
        self.words(metrics)[word].load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, metrics: &Metrics, word: usize, value: u64) {
        self.words(metrics)[word].store(value, Ordering::Relaxed);
    }

    pub(super) fn add(&self, metrics: &Metrics, word: usize, count: u64) {
        let word = &self.words(metrics)[word];
        let sum = word.load(Ordering::Relaxed).wrapping_add(count);
        word.store(sum, Ordering::Relaxed);
    }

    /// True if one of the state's `bits` is set.
    pub(super) fn is(&self, metrics: &Metrics, bits: u64) -> bool {
        self.get(metrics, row::STATE) & bits != 0
    }

    /// Sets some of the state's bits, and clears others.
    pub(super) fn change(&self, metrics: &Metrics, set: u64, clear: u64) {
        let state = &self.words(metrics)[row::STATE];
        let before = state.load(Ordering::Relaxed);
        state.store((before & !clear) | set, Ordering::Relaxed);
    }

    pub(super) fn status(&self, metrics: &Metrics) -> u16 {
        // The lowest 16 bits.
        (self.get(metrics, row::FACTS) & 0xffff) as u16
    }

    pub(super) fn set_status(&self, metrics: &Metrics, status: u16) {
        let facts = &self.words(metrics)[row::FACTS];
        let others = facts.load(Ordering::Relaxed) & !0xffff;
        facts.store(others | u64::from(status), Ordering::Relaxed);
    }

    /// Keeps the exchange, which ended at `ended`, in the ring.
    pub(super) fn keep(&self, metrics: &Metrics, ended: u64, is_cut: bool) {
        let page = &metrics.page;
        // Its place is nobody else's: several threads may keep theirs.
        let count = page.word(at::RING_COUNT).fetch_add(1, Ordering::AcqRel);
        let entry = at::RING + (count as usize % layout::RING) * ring::WORDS;
        page.word(entry + ring::NUMBER).store(0, Ordering::Release);
        page.word(entry + ring::ENDED)
            .store(ended, Ordering::Relaxed);
        page.word(entry + ring::CUT)
            .store(u64::from(is_cut), Ordering::Relaxed);
        for (word, value) in self.words(metrics).iter().enumerate() {
            page.word(entry + ring::ROW + word)
                .store(value.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        page.word(entry + ring::NUMBER)
            .store(count + 1, Ordering::Release);
    }

    /// Gives the row back.
    pub(super) fn free(self, metrics: &Metrics) {
        self.change(metrics, 0, (1 << row::NUMBER) - 1);
        if let Self::Shared(index) = self {
            metrics.free.borrow_mut().push(index);
        }
    }

    fn words<'a>(&'a self, metrics: &'a Metrics) -> &'a [AtomicU64; row::WORDS] {
        match self {
            Self::Shared(index) => metrics.page.row(*index),
            Self::Own(words) => words,
        }
    }
}

/// Writes as much of a text as there is room for; the number of its bytes.
fn write(words: &[AtomicU64], text: &[u8]) -> u64 {
    let text = &text[..text.len().min(words.len() * 8)];
    for (word, piece) in words.iter().zip(text.chunks(8)) {
        // Short ones are most: no call of `memcpy` for them.
        let value = piece
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        word.store(value, Ordering::Relaxed);
    }
    text.len() as u64
}

/// Writes the client's address; its kind and port.
fn write_address(words: &[AtomicU64; row::WORDS], address: &Address) -> (u64, u64) {
    let Address::Ip(address) = address else {
        return (0, 0);
    };
    let port = u64::from(address.port());
    match address.ip() {
        IpAddr::V4(ip) => {
            let ip = u32::from_le_bytes(ip.octets());
            words[row::ADDRESS].store(ip.into(), Ordering::Relaxed);
            (4, port)
        }
        IpAddr::V6(ip) => {
            write(&words[row::ADDRESS..row::METHOD], &ip.octets());
            (6, port)
        }
    }
}
