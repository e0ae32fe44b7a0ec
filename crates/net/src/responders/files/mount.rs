//! `Mount`: a folder that is served below a route. From the path of a request to an open file in the
//! folder, or to what is there instead.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::beneath::Folder;
use super::heads;
use super::options::MountOptions;
use super::stored::{Facts, Stored};
use crate::exchange::compression::verdict::coding_for;
use granian_proto::RequestHead;
use granian_proto::file::{choose_coding, segments};

/// See the module's documentation.
pub struct Mount {
    pub(super) options: MountOptions,
    route: Vec<Vec<u8>>,
    folder: Folder,
    /// The folder's path without links, if it could be asked for at start.
    resolved: Option<PathBuf>,
}

/// The thing at a path.
pub(super) enum Found {
    File(Box<Stored>),
    /// A folder, whose path is to end with a slash.
    Folder,
    Missing,
    /// A path that is never the application's: it leads out of the folder, is hidden, or names
    /// something that is not a file.
    Refused,
}

/// The place that a path stands for.
enum Aim {
    At(PathBuf),
    Missing,
    Refused,
}

impl Mount {
    /// A mount of these options.
    ///
    /// # Errors
    /// The error of opening the folder; `InvalidInput` for a route that is no path, and for a
    /// header that is none.
    pub fn new(options: MountOptions) -> io::Result<Self> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        let mut route = segments(options.route.as_bytes())
            .ok_or_else(|| invalid("the route is no path".to_owned()))?;
        route.retain(|segment| !segment.is_empty());
        heads::check(&options)
            .map_err(|error| invalid(format!("a header cannot be sent: {error}")))?;
        Ok(Self {
            folder: Folder::open(&options.folder, options.follows_links)?,
            resolved: options.folder.canonicalize().ok(),
            route,
            options,
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

    /// The answer to a path that has none but 404, or the application's, if that is known without
    /// waiting for a disk.
    pub(super) fn known_absence(&self, path: &[u8], head: &RequestHead) -> Option<Found> {
        match self.aim(path) {
            Aim::Refused => Some(Found::Refused),
            _ if self.fallback_for(head).is_some() => None,
            Aim::Missing => Some(Found::Missing),
            Aim::At(place) => self
                .folder
                .is_known_absent(&place)
                .then_some(Found::Missing),
        }
    }

    /// The thing at `path`, which is percent-encoded and begins with the route. `known` is returned
    /// with what it holds if it is still that.
    pub(super) fn look_up(
        &self,
        path: &[u8],
        head: &RequestHead,
        known: Option<Arc<Found>>,
    ) -> Found {
        let found = match self.aim(path) {
            Aim::Refused => return Found::Refused,
            Aim::Missing => Found::Missing,
            Aim::At(place) => self
                .open(&place, head, known)
                .unwrap_or_else(|error| found_for(&error)),
        };
        match (found, self.fallback_for(head)) {
            (Found::Missing, Some(name)) => self.fallback(name, head),
            (found, _) => found,
        }
    }

    /// The place below the folder that `path` stands for, a path of the system. `None` if that is elsewhere.
    pub(super) fn place_of<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        // An application may have resolved the folder's links.
        let roots = [Some(&self.options.folder), self.resolved.as_ref()];
        let mut places = roots.into_iter().flatten();
        let place = places.find_map(|root| path.strip_prefix(root).ok())?;
        let is_plain = |part| matches!(part, Component::Normal(_));
        place.components().all(is_plain).then_some(place)
    }

    /// The file at `path`, which is percent-encoded and begins with the route.
    pub(super) fn file_at(&self, path: &[u8], head: &RequestHead) -> Found {
        let Some(segments) = segments(path) else {
            return Found::Refused;
        };
        let below = segments.get(self.route.len()..).unwrap_or_default();
        let place: PathBuf = below
            .iter()
            .map(|segment| OsStr::from_bytes(segment))
            .collect();
        self.file_in_place(&place, head)
    }

    /// The file at `place` below the folder.
    pub(super) fn file_in_place(&self, place: &Path, head: &RequestHead) -> Found {
        if place.as_os_str().is_empty() {
            return Found::Missing;
        }
        let found = self.open(place, head, None);
        found.unwrap_or_else(|error| found_for(&error))
    }

    fn aim(&self, path: &[u8]) -> Aim {
        let Some(segments) = segments(path) else {
            return Aim::Refused;
        };
        let below = segments.get(self.route.len()..).unwrap_or_default();
        if below.iter().any(|segment| is_hidden(segment)) {
            return Aim::Refused;
        }
        let named = below.iter().filter(|segment| !segment.is_empty());
        let mut place = PathBuf::new();
        place.extend(named.map(|segment| OsStr::from_bytes(segment)));
        let is_folder = below.last().is_none_or(Vec::is_empty);
        match &self.options.directory_file {
            _ if !is_folder => Aim::At(place),
            Some(name) => Aim::At(place.join(name)),
            None => Aim::Missing,
        }
    }

    /// The file for a request of a page that does not exist.
    fn fallback_for(&self, head: &RequestHead) -> Option<&str> {
        let name = self.options.fallback.as_deref()?;
        asks_for_page(head).then_some(name)
    }

    fn fallback(&self, name: &str, head: &RequestHead) -> Found {
        let opened = self.open_file(Path::new(name), head, None, true);
        match opened {
            Ok(Found::File(stored)) => Found::File(stored),
            _ => Found::Missing,
        }
    }

    fn open(
        &self,
        place: &Path,
        head: &RequestHead,
        known: Option<Arc<Found>>,
    ) -> io::Result<Found> {
        self.open_file(place, head, known, false)
    }

    fn open_file(
        &self,
        place: &Path,
        head: &RequestHead,
        known: Option<Arc<Found>>,
        is_fallback: bool,
    ) -> io::Result<Found> {
        let plain = self.folder.open_file(place)?;
        let metadata = plain.metadata()?;
        if metadata.is_dir() {
            return Ok(self.found_folder(place));
        }
        if !metadata.is_file() {
            return Ok(Found::Refused);
        }
        let (file, metadata, coding) = match self.variant(place, head) {
            Some((file, metadata, coding)) => (file, metadata, Some(coding)),
            None => (plain, metadata, None),
        };
        let facts = Facts {
            place,
            metadata: &metadata,
            coding,
            client_takes: match self.options.compresses && coding.is_none() {
                true => coding_for(head),
                false => None,
            },
            is_fallback,
        };
        if let Some(Found::File(stored)) = known.as_deref()
            && stored.is_still(&facts)
        {
            return Ok(Found::File(stored.clone()));
        }
        Ok(match Stored::new(&self.options, &facts, file)? {
            Some(stored) => Found::File(Box::new(stored)),
            None => Found::Refused,
        })
    }

    /// A folder is something to be sent to if a file answers for it.
    fn found_folder(&self, place: &Path) -> Found {
        let name = self.options.directory_file.as_ref();
        let answers = name.is_some_and(|name| self.folder.open_file(&place.join(name)).is_ok());
        if answers {
            Found::Folder
        } else {
            Found::Missing
        }
    }

    /// The neighbour of `place` in the coding that the client likes best.
    fn variant(
        &self,
        place: &Path,
        head: &RequestHead,
    ) -> Option<(File, std::fs::Metadata, &'static str)> {
        if !self.options.precompressed {
            return None;
        }
        let mut left: Vec<(&'static str, &str)> = VARIANTS.to_vec();
        while !left.is_empty() {
            let codings: Vec<&str> = left.iter().map(|(coding, _)| *coding).collect();
            let (coding, ending) = left.remove(choose_coding(head, &codings)?);
            let mut name = place.as_os_str().to_owned();
            name.push(ending);
            if let Ok(file) = self.folder.open_file(Path::new(&name))
                && let Ok(metadata) = file.metadata()
                && metadata.is_file()
            {
                return Some((file, metadata, coding));
            }
        }
        None
    }
}

/// The meaning of an error of opening a file.
fn found_for(error: &io::Error) -> Found {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            Found::Missing
        }
        _ => Found::Refused,
    }
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

/// Codings of neighbours, the one that saves most first, and how their names end.
const VARIANTS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];
