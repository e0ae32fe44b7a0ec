//! `Stored`: an open file and the heads that it is answered with, made once and kept in the cache.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use granian_proto::ResponseHead;
use granian_proto::file::Validators;

use super::heads::{self, Description};
use super::options::MountOptions;
use crate::exchange::compression::encoder::{self, Coding, Effort};
use crate::exchange::compression::verdict::{LEAST, type_gains};
use crate::stream::region::FileRegion;

/// See the module's documentation.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) content: Content,
    pub(super) len: u64,
    pub(super) validators: Validators,
    pub(super) description: Description,
    /// The head of an answer with the whole file.
    pub(super) whole: ResponseHead,
    /// The head of an answer to a client that has the file.
    pub(super) not_modified: ResponseHead,
    identity: Identity,
}

/// Where the bytes are.
#[derive(Clone)]
pub(super) enum Content {
    /// A small file's, read once.
    Memory(Bytes),
    Disk(Arc<FileRegion>),
}

/// A file that was opened.
pub(super) struct Facts<'a> {
    /// The path below the folder; that of the file itself, even for a neighbour.
    pub(super) place: &'a Path,
    pub(super) metadata: &'a Metadata,
    /// The coding of a neighbour.
    pub(super) coding: Option<&'static str>,
    /// The coding that a file without a neighbour is compressed into.
    pub(super) client_takes: Option<Coding>,
    /// It answers for pages that do not exist.
    pub(super) is_fallback: bool,
}

/// Tells a file that has changed from one that has not.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    seconds: i64,
    nanoseconds: i64,
    is_fallback: bool,
}

impl Stored {
    /// The file of these facts, of a mount of these `options`. `None` if a head has no form for it.
    ///
    /// # Errors
    /// The error of reading the file.
    pub(super) fn new(
        options: &MountOptions,
        facts: &Facts<'_>,
        file: File,
    ) -> io::Result<Option<Self>> {
        let len = facts.metadata.len();
        let identity = Identity::of(facts);
        let modified = facts.metadata.modified()?.duration_since(UNIX_EPOCH);
        let mut validators = identity.validators(modified.unwrap_or_default());
        let content_type = content_type(facts.place, options);
        let gains = options.compresses
            && facts.coding.is_none()
            && (LEAST..=MOST_COMPRESSED).contains(&len)
            && content_type
                .as_ref()
                .is_some_and(|content_type| type_gains(content_type.as_bytes()));
        let mut description = Description {
            content_type,
            coding: facts.coding,
            cache_control: cache_control(facts, options),
            varies: options.precompressed || gains,
            takes_ranges: true,
        };
        let mut content = content(file, len)?;
        if let Some(coding) = facts.client_takes.filter(|_| gains)
            && let Some(encoded) = content.encoded(coding, len)
        {
            content = Content::Memory(encoded);
            description.coding = Some(coding.name());
            description.takes_ranges = false;
            // > [...] two representations [...] with different content codings — after RFC 9110, 8.8.1, have
            // > different strong validators, or a weak one.
            validators.etag.insert_str(0, "W/");
        }
        let len = match &content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(_) => len,
        };
        let heads = heads::heads(options, &description, &validators, len);
        Ok(heads.ok().map(|(whole, not_modified)| Self {
            content,
            len,
            validators,
            description,
            whole,
            not_modified,
            identity,
        }))
    }

    /// True if the file of these facts is this one, unchanged.
    pub(super) fn is_still(&self, facts: &Facts<'_>) -> bool {
        let coding = facts.coding.or(facts.client_takes.map(Coding::name));
        let is_same = self.description.coding == coding
            || facts.coding.is_none() && self.description.coding.is_none();
        is_same && self.identity == Identity::of(facts)
    }

    /// Bytes in memory.
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Content::Memory(bytes) => bytes.len(),
            Content::Disk(_) => 0,
        }
    }
}

impl Content {
    /// All `len` bytes in `coding`.
    fn encoded(&self, coding: Coding, len: u64) -> Option<Bytes> {
        let read;
        let plain = match self {
            Self::Memory(bytes) => bytes,
            Self::Disk(file) => {
                let mut bytes = vec![0; usize::try_from(len).ok()?];
                file.file.read_exact_at(&mut bytes, 0).ok()?;
                read = Bytes::from(bytes);
                &read
            }
        };
        encoder::encoded(coding, Effort::Kept, plain).ok()
    }
}

impl Identity {
    fn of(facts: &Facts<'_>) -> Self {
        let metadata = facts.metadata;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            is_fallback: facts.is_fallback,
        }
    }

    /// The tag says that a byte has changed wherever the file system's clock says so: it is a
    /// strong one.
    fn validators(self, modified: Duration) -> Validators {
        Validators {
            etag: format!("\"{:x}-{:x}\"", modified.as_nanos(), self.len),
            modified: modified.as_secs(),
        }
    }
}

fn content(mut file: File, len: u64) -> io::Result<Content> {
    let mut bytes = Vec::new();
    let is_read = len <= MOST_IN_MEMORY
        && (&mut file)
            .take(MOST_IN_MEMORY)
            .read_to_end(&mut bytes)
            .is_ok_and(|count| count as u64 == len);
    // Otherwise it is large, or being written.
    Ok(if is_read {
        Content::Memory(Bytes::from(bytes))
    } else {
        Content::Disk(Arc::new(FileRegion::of_file(file)?))
    })
}

fn cache_control(facts: &Facts<'_>, options: &MountOptions) -> Option<String> {
    let fallback = options.fallback.as_deref().map(Path::new);
    if facts.is_fallback || fallback == Some(facts.place) {
        // It stands for pages that change with the next release.
        return Some("no-cache".to_owned());
    }
    let place = facts.place.to_string_lossy();
    if options
        .immutable
        .iter()
        .any(|pattern| pattern.is_match(&place))
    {
        return Some(FOREVER.to_owned());
    }
    (options.expires > 0).then(|| format!("max-age={}", options.expires))
}

/// The type that the file's name stands for. Text is UTF-8 these days.
fn content_type(place: &Path, options: &MountOptions) -> Option<String> {
    let ending = place.extension().unwrap_or_default().to_string_lossy();
    let given = options
        .types
        .iter()
        .find(|(other, _)| ending.eq_ignore_ascii_case(other));
    if let Some((_, given)) = given {
        return Some(given.clone());
    }
    let guess = mime_guess::from_path(place).first()?;
    let is_text = guess.type_() == "text"
        || matches!(
            guess.subtype().as_str(),
            "javascript" | "json" | "xml" | "manifest+json"
        )
        || guess
            .suffix()
            .is_some_and(|suffix| suffix == "xml" || suffix == "json");
    Some(if is_text {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_string()
    })
}

/// A file of up to so many bytes is kept in memory while it is in the cache.
const MOST_IN_MEMORY: u64 = 64 * 1024;
/// A file of up to so many bytes is compressed where it has no neighbour.
const MOST_COMPRESSED: u64 = 4 * 1024 * 1024;
/// > The immutable extension only applies during the freshness lifetime of the stored response. — RFC 8246, 2
/// > <https://www.rfc-editor.org/rfc/rfc8246#section-2>
///
/// A year, as far as caches look ahead.
const FOREVER: &str = "public, max-age=31536000, immutable";
