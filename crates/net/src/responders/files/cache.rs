//! `Cache`: what was found at which path, fresh for a second. Bounded in entries, which bounds
//! descriptors, and in bytes.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use granian_proto::RequestHead;

use super::mount::{Found, Mount, asks_for_page};
use super::stored::Content;
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Cache {
    /// The connections' thread and those that open files meet here for a few moves.
    entries: Mutex<Entries>,
    hashes: RandomState,
}

/// The facts that an answer depends on besides the file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Question<'a> {
    pub(super) mount: usize,
    /// As it is in the request.
    pub(super) path: Cow<'a, [u8]>,
    /// The client's, where the mount has files in several codings.
    codings: Cow<'a, [u8]>,
    takes_pages: bool,
}

#[derive(Default)]
struct Entries {
    /// By the hash of their questions: two with the same one take each other's place.
    found: HashMap<u64, Entry>,
    /// The hashes, the oldest first.
    order: VecDeque<u64>,
    bytes: usize,
    descriptors: usize,
}

struct Entry {
    question: Question<'static>,
    found: Arc<Found>,
    checked: Instant,
}

impl<'a> Question<'a> {
    /// The question of `head` to the `index`-th mount.
    pub(super) fn new(index: usize, mount: &Mount, head: &'a RequestHead) -> Self {
        let options = &mount.options;
        Self {
            mount: index,
            path: Cow::Borrowed(head.path()),
            codings: match options.precompressed || options.compresses {
                true => codings(head),
                false => Cow::Borrowed(&[]),
            },
            takes_pages: options.fallback.is_some() && asks_for_page(head),
        }
    }

    /// The same to keep.
    pub(super) fn into_owned(self) -> Question<'static> {
        Question {
            mount: self.mount,
            path: Cow::Owned(self.path.into_owned()),
            codings: Cow::Owned(self.codings.into_owned()),
            takes_pages: self.takes_pages,
        }
    }
}

/// The values of all Accept-Encoding fields, which are one list (RFC 9110, 5.3).
fn codings(head: &RequestHead) -> Cow<'_, [u8]> {
    let mut values = head
        .fields()
        .filter(|(name, _)| *name == b"accept-encoding")
        .map(|(_, value)| value);
    let mut all = match values.next() {
        Some(first) => Cow::Borrowed(first),
        None => Cow::Borrowed(&[][..]),
    };
    for value in values {
        let all = all.to_mut();
        all.push(b',');
        all.extend_from_slice(value);
    }
    all
}

impl Cache {
    /// The answer, if it is less than a second old.
    pub(super) fn fresh(&self, question: &Question<'_>, now: Instant) -> Option<Arc<Found>> {
        let hash = self.hashes.hash_one(question);
        let entries = lock(&self.entries);
        let entry = entries.get(hash, question)?;
        (now.saturating_duration_since(entry.checked) < FRESH).then(|| Arc::clone(&entry.found))
    }

    /// The answer of any age.
    pub(super) fn stale(&self, question: &Question<'_>) -> Option<Arc<Found>> {
        let hash = self.hashes.hash_one(question);
        let entries = lock(&self.entries);
        entries
            .get(hash, question)
            .map(|entry| Arc::clone(&entry.found))
    }

    /// Keeps a file or a folder. What is missing is not kept: everybody can ask for many such
    /// paths.
    pub(super) fn keep(&self, question: Question<'static>, found: Arc<Found>, now: Instant) {
        let hash = self.hashes.hash_one(&question);
        let is_short = question.path.len() + question.codings.len() <= LONGEST;
        let is_kept = is_short && matches!(*found, Found::File(_) | Found::Folder);
        let mut entries = lock(&self.entries);
        let gone = entries.remove(hash);
        if is_kept {
            let entry = Entry {
                question,
                found,
                checked: now,
            };
            entries.add(hash, entry);
        }
        let evicted = entries.evict();
        drop(entries);
        // Outside the lock: the last owner closes the file.
        drop((gone, evicted));
    }
}

impl Entries {
    fn get(&self, hash: u64, question: &Question<'_>) -> Option<&Entry> {
        self.found
            .get(&hash)
            .filter(|entry| entry.question == *question)
    }

    fn add(&mut self, hash: u64, entry: Entry) {
        self.count(&entry.found, |total, part| total + part);
        self.order.push_back(hash);
        self.found.insert(hash, entry);
    }

    fn remove(&mut self, hash: u64) -> Option<Entry> {
        let entry = self.found.remove(&hash)?;
        self.order.retain(|other| *other != hash);
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
/// Bytes of what a client can choose in a question.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use granian_proto::{RequestHeadBuilder, Version};

    use super::super::options::MountOptions;
    use super::*;

    fn head(codings: &[&str]) -> RequestHead {
        let mut head = RequestHeadBuilder::new(Version::Http11, "GET", b"/a.js");
        for coding in codings {
            head.append(b"accept-encoding", coding.as_bytes());
        }
        head.build()
    }

    fn mount(precompressed: bool) -> Mount {
        Mount::new(MountOptions {
            route: "/".to_owned(),
            folder: ".".into(),
            precompressed,
            ..MountOptions::default()
        })
        .unwrap()
    }

    #[test]
    fn an_answer_is_for_clients_that_take_the_same_codings() {
        let mount = mount(true);
        let same = |one: &[&str], other: &[&str]| {
            let (one, other) = (head(one), head(other));
            Question::new(0, &mount, &one) == Question::new(0, &mount, &other)
        };
        assert!(!same(&["identity", "gzip"], &["identity"]));
        assert!(same(&["identity", "gzip"], &["identity,gzip"]));
        assert!(!same(&[], &["gzip"]));
    }

    #[test]
    fn without_variants_the_codings_do_not_matter() {
        let (mount, one, other) = (mount(false), head(&[]), head(&["br"]));
        assert_eq!(
            Question::new(0, &mount, &one),
            Question::new(0, &mount, &other)
        );
    }

    #[test]
    fn an_answer_is_fresh_for_a_second() {
        let (mount, head) = (mount(false), head(&[]));
        let (cache, now) = (Cache::default(), Instant::now());
        let question = Question::new(0, &mount, &head);
        cache.keep(question.clone().into_owned(), Arc::new(Found::Folder), now);
        assert!(cache.fresh(&question, now).is_some());
        assert!(cache.fresh(&question, now + FRESH).is_none());
        assert!(cache.stale(&question).is_some());
        let missing = Arc::new(Found::Missing);
        cache.keep(question.clone().into_owned(), missing, now);
        assert!(cache.stale(&question).is_none());
    }
}
