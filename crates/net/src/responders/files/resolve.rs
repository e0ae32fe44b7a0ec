//! From the path of a request to an open file below a mount's folder, or to what is there instead.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use granian_proto::RequestHead;
use granian_proto::file::{Validators, choose_coding, segments};
use rustix::fs::{Mode, OFlags};

/// The options of a mount; see docs/static.md.
#[derive(Clone, Debug, Default)]
pub struct MountOptions {
    /// The path that requests begin with, such as `/static`; `/` is every path.
    pub route: String,
    /// The folder.
    pub folder: PathBuf,
    /// The file that answers for a folder, such as `index.html`.
    pub directory_file: Option<String>,
    /// `max-age` of `cache-control`, in seconds; none is sent for 0.
    pub expires: u64,
    /// Neighbours such as `app.js.br` are served to clients that take them.
    pub precompressed: bool,
    /// The file that answers, with 200, where a page is asked for and there is no file.
    pub fallback: Option<String>,
    /// Symbolic links may lead out of the folder.
    pub follows_links: bool,
}

/// A folder that is served below a route.
pub struct Mount {
    pub(super) options: MountOptions,
    route: Vec<Vec<u8>>,
    root: OwnedFd,
}

/// The thing at a path.
pub(super) enum Found {
    File(Stored),
    /// A folder, whose path is to end with a slash.
    Folder,
    Missing,
}

/// An open file and how it is answered with.
pub(super) struct Stored {
    pub(super) content: Content,
    pub(super) len: u64,
    pub(super) validators: Validators,
    pub(super) content_type: Option<String>,
    pub(super) coding: Option<&'static str>,
    /// It answers for pages that do not exist.
    pub(super) is_fallback: bool,
    identity: Identity,
}

/// Where the bytes are.
pub(super) enum Content {
    /// A small file's, read once.
    Memory(Bytes),
    Disk(Arc<File>),
}

/// Tells a file that has changed from one that has not.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Mount {
    /// A mount of these options.
    ///
    /// # Errors
    /// The error of opening the folder; `InvalidInput` for a route that is no path.
    pub fn new(options: MountOptions) -> io::Result<Self> {
        let no_path = || io::Error::new(io::ErrorKind::InvalidInput, "the route is no path");
        let mut route = segments(options.route.as_bytes()).ok_or_else(no_path)?;
        route.retain(|segment| !segment.is_empty());
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let root = rustix::fs::open(&options.folder, flags, Mode::empty())?;
        Ok(Self {
            options,
            route,
            root,
        })
    }

    /// True if the path, percent-encoded, is the route or below it.
    pub(super) fn is_below(&self, path: &[u8]) -> bool {
        let mut rest = path
            .split(|byte| *byte == b'/')
            .filter(|raw| !raw.is_empty());
        self.route.iter().all(|segment| {
            rest.next().is_some_and(|raw| {
                raw == segment.as_slice()
                    || raw.contains(&b'%')
                        && segments(raw).is_some_and(|found| found == [segment.as_slice()])
            })
        })
    }

    /// What there is at the path of these segments, the route's among them. `known` is returned
    /// with what it holds if it is still that.
    pub(super) fn resolve(
        &self,
        path: &[Vec<u8>],
        head: &RequestHead,
        known: Option<Arc<Found>>,
    ) -> Found {
        let below = path.get(self.route.len()..).unwrap_or_default();
        match self.look(below, head, known) {
            Found::Missing => match &self.options.fallback {
                Some(name) if asks_for_page(head) => self.fallback(name, head),
                _ => Found::Missing,
            },
            found => found,
        }
    }

    fn look(&self, below: &[Vec<u8>], head: &RequestHead, known: Option<Arc<Found>>) -> Found {
        if below.iter().any(|segment| is_hidden(segment)) {
            return Found::Missing;
        }
        let is_folder = below.last().is_none_or(Vec::is_empty);
        let mut path = PathBuf::new();
        path.extend(
            below
                .iter()
                .filter(|segment| !segment.is_empty())
                .map(|segment| OsStr::from_bytes(segment)),
        );
        if is_folder {
            return match &self.options.directory_file {
                Some(name) => self
                    .open(&path.join(name), head, known)
                    .unwrap_or(Found::Missing),
                None => Found::Missing,
            };
        }
        self.open(&path, head, known).unwrap_or(Found::Missing)
    }

    fn fallback(&self, name: &str, head: &RequestHead) -> Found {
        match self.open(Path::new(name), head, None) {
            Ok(Found::File(stored)) => Found::File(Stored {
                is_fallback: true,
                ..stored
            }),
            _ => Found::Missing,
        }
    }

    fn open(
        &self,
        path: &Path,
        head: &RequestHead,
        known: Option<Arc<Found>>,
    ) -> io::Result<Found> {
        let (file, coding) = match self.variant(path, head) {
            Some((file, coding)) => (file, Some(coding)),
            None => (self.open_below(path)?, None),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() && self.options.directory_file.is_some() {
            return Ok(Found::Folder);
        }
        if !metadata.is_file() {
            return Ok(Found::Missing);
        }
        let identity = Identity::of(&metadata);
        if let Some(Found::File(stored)) = known.as_deref()
            && stored.identity == identity
            && stored.coding == coding
        {
            return Ok(Found::File(stored.again()));
        }
        Ok(Found::File(Stored {
            len: metadata.len(),
            validators: identity.validators(
                metadata
                    .modified()?
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
            content_type: content_type(path),
            content: content(file, metadata.len())?,
            coding,
            is_fallback: false,
            identity,
        }))
    }

    /// The neighbour of `path` in the coding that the client likes best.
    fn variant(&self, path: &Path, head: &RequestHead) -> Option<(File, &'static str)> {
        if !self.options.precompressed {
            return None;
        }
        let mut left: Vec<(&str, &str)> = VARIANTS.to_vec();
        while !left.is_empty() {
            let codings: Vec<&str> = left.iter().map(|(coding, _)| *coding).collect();
            let (coding, ending) = left.remove(choose_coding(head, &codings)?);
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            let file = self.open_below(Path::new(&name)).ok();
            if let Some(file) =
                file.filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()))
            {
                return Some((file, VARIANTS.iter().find(|(name, _)| *name == coding)?.0));
            }
        }
        None
    }

    /// Opens what is at `path` below the folder. The kernel sees to it that no link and no race
    /// leads out.
    fn open_below(&self, path: &Path) -> io::Result<File> {
        // A named pipe would keep the thread until somebody writes into it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        if self.options.follows_links {
            return Ok(rustix::fs::openat(&self.root, path, flags, Mode::empty())?.into());
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::ResolveFlags;
            let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), beneath) {
                Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
                opened => return Ok(opened?.into()),
            }
        }
        walk(&self.root, path, flags)
    }
}

/// Opens segment by segment, following no link: for systems without `openat2`.
fn walk(root: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<File> {
    let mut folder = root.try_clone()?;
    let mut segments = path.components().peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let kind = if is_last {
            flags
        } else {
            flags | OFlags::DIRECTORY
        };
        folder = rustix::fs::openat(
            &folder,
            segment.as_os_str(),
            kind | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
    }
    Ok(folder.into())
}

impl Stored {
    fn again(&self) -> Self {
        Self {
            content: match &self.content {
                Content::Memory(bytes) => Content::Memory(bytes.clone()),
                Content::Disk(file) => Content::Disk(Arc::clone(file)),
            },
            len: self.len,
            validators: self.validators.clone(),
            content_type: self.content_type.clone(),
            coding: self.coding,
            is_fallback: self.is_fallback,
            identity: self.identity,
        }
    }

    /// Bytes in memory.
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Content::Memory(bytes) => bytes.len(),
            Content::Disk(_) => 0,
        }
    }
}

impl Identity {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
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
    if len > MOST_IN_MEMORY {
        return Ok(Content::Disk(Arc::new(file)));
    }
    let mut bytes = Vec::new();
    (&mut file).take(MOST_IN_MEMORY).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len {
        return Ok(Content::Memory(Bytes::from(bytes)));
    }
    // It is being written.
    Ok(Content::Disk(Arc::new(file)))
}

/// True for names that begin with a dot, but for those that are meant to be found (RFC 8615).
fn is_hidden(segment: &[u8]) -> bool {
    segment.starts_with(b".") && segment != b".well-known"
}

/// A browser that goes somewhere says that it takes HTML; one that wants a script or a picture does
/// not.
pub(super) fn asks_for_page(head: &RequestHead) -> bool {
    head.field(b"accept")
        .is_some_and(|accept| accept.windows(9).any(|part| part == b"text/html"))
}

/// The type that the file's name stands for. Text is UTF-8 these days.
fn content_type(path: &Path) -> Option<String> {
    let guess = mime_guess::from_path(path).first()?;
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

/// Codings of neighbours, the one that saves most first, and how their names end.
const VARIANTS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];
/// A file of up to so many bytes is kept in memory while it is in the cache.
const MOST_IN_MEMORY: u64 = 64 * 1024;
