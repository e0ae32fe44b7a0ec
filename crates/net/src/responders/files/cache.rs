//! `Cache`: what was found at which path, fresh for a second. Bounded in entries, which bounds
//! descriptors, and in bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use granian_proto::RequestHead;

use super::resolve::{Content, Found, asks_for_page};
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Cache {
    /// The connections' thread and those that open files meet here for a few moves.
    entries: Mutex<Entries>,
}

/// The facts that an answer depends on besides the file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) mount: usize,
    /// As it is in the request.
    pub(super) path: Box<[u8]>,
    codings: Box<[u8]>,
    takes_pages: bool,
}

#[derive(Default)]
struct Entries {
    found: HashMap<Key, Entry>,
    /// The keys, the oldest first.
    order: VecDeque<Key>,
    bytes: usize,
    descriptors: usize,
}

struct Entry {
    found: Arc<Found>,
    checked: Instant,
}

impl Key {
    pub(super) fn of(mount: usize, head: &RequestHead) -> Self {
        Self {
            mount,
            path: head.path().into(),
            codings: codings(head),
            takes_pages: asks_for_page(head),
        }
    }
}

/// The values of all Accept-Encoding fields, which are one list (RFC 9110, 5.3).
fn codings(head: &RequestHead) -> Box<[u8]> {
    let fields = head
        .fields()
        .filter(|(name, _)| *name == b"accept-encoding");
    let values: Vec<&[u8]> = fields.map(|(_, value)| value).collect();
    values.join(&b',').into()
}

impl Cache {
    /// The entry, if it is less than a second old.
    pub(super) fn fresh(&self, key: &Key, now: Instant) -> Option<Arc<Found>> {
        let entries = lock(&self.entries);
        let entry = entries.found.get(key)?;
        (now.saturating_duration_since(entry.checked) < FRESH).then(|| Arc::clone(&entry.found))
    }

    /// The entry of any age.
    pub(super) fn stale(&self, key: &Key) -> Option<Arc<Found>> {
        lock(&self.entries)
            .found
            .get(key)
            .map(|entry| Arc::clone(&entry.found))
    }

    /// Keeps a file or a folder. What is missing is not kept: everybody can ask for many such
    /// paths.
    pub(super) fn keep(&self, key: Key, found: Arc<Found>, now: Instant) {
        let mut entries = lock(&self.entries);
        let is_kept =
            !matches!(*found, Found::Missing) && key.path.len() + key.codings.len() <= LONGEST_KEY;
        let gone = entries.remove(&key);
        if is_kept {
            entries.add(key, found, now);
        }
        let evicted = entries.evict();
        drop(entries);
        // Outside the lock: the last owner closes the file.
        drop((gone, evicted));
    }
}

impl Entries {
    fn add(&mut self, key: Key, found: Arc<Found>, checked: Instant) {
        self.count(&found, |total, part| total + part);
        self.order.push_back(key.clone());
        self.found.insert(key, Entry { found, checked });
    }

    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.found.remove(key)?;
        self.order.retain(|other| other != key);
        self.count(&entry.found, usize::saturating_sub);
        Some(entry)
    }

    fn count(&mut self, found: &Found, apply: impl Fn(usize, usize) -> usize) {
        if let Found::File(stored) = found {
            self.bytes = apply(self.bytes, stored.weight());
            self.descriptors = apply(
                self.descriptors,
                usize::from(matches!(stored.content, Content::Disk(_))),
            );
        }
    }

    fn evict(&mut self) -> Vec<Entry> {
        let mut evicted = Vec::new();
        while self.found.len() > MOST_ENTRIES
            || self.bytes > MOST_BYTES
            || self.descriptors > MOST_DESCRIPTORS
        {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(entry) = self.found.remove(&oldest) {
                self.count(&entry.found, usize::saturating_sub);
                evicted.push(entry);
            }
        }
        evicted
    }
}

/// An answer is no older than this.
const FRESH: Duration = Duration::from_secs(1);
const MOST_ENTRIES: usize = 1024;
const MOST_DESCRIPTORS: usize = 128;
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of what a client can choose in a key.
const LONGEST_KEY: usize = 1024;

#[cfg(test)]
mod tests {
    use granian_proto::{RequestHeadBuilder, Version};

    use super::*;

    fn key(codings: &[&str]) -> Key {
        let mut head = RequestHeadBuilder::new(Version::Http11, "GET", b"/a.js");
        for coding in codings {
            head.append(b"accept-encoding", coding.as_bytes());
        }
        Key::of(0, &head.build())
    }

    #[test]
    fn an_answer_is_for_clients_that_take_the_same_codings() {
        assert!(key(&["identity", "gzip"]) != key(&["identity"]));
        assert!(key(&["identity", "gzip"]) == key(&["identity,gzip"]));
        assert!(key(&[]) != key(&["gzip"]));
    }
}
