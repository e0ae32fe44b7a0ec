//! `Folder`: opens what is below a folder, and nothing else. The kernel sees to it that no link and
//! no race leads out.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// See the module's documentation.
pub(super) struct Folder {
    root: OwnedFd,
    /// Symbolic links may lead out of it.
    follows_links: bool,
}

impl Folder {
    /// # Errors
    /// The error of opening the folder at `path`.
    pub(super) fn open(path: &Path, follows_links: bool) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            root,
            follows_links,
        })
    }

    /// Opens what is at `path`, which is relative. It may wait for a disk.
    ///
    /// # Errors
    /// The error of the open; one of a kind other than `NotFound`, `NotADirectory` and
    /// `InvalidFilename` where there is something that is not to be opened.
    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        // A named pipe would keep the thread until somebody writes into it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        if self.follows_links {
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

    /// True if the kernel's cache of names says that there is nothing at `path`. It waits for
    /// nothing.
    #[cfg(target_os = "linux")]
    pub(super) fn is_known_absent(&self, path: &Path) -> bool {
        use rustix::fs::ResolveFlags;
        use rustix::io::Errno;
        let beneath = if self.follows_links {
            ResolveFlags::empty()
        } else {
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS
        };
        let opened = rustix::fs::openat2(
            &self.root,
            path,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            beneath | ResolveFlags::CACHED,
        );
        matches!(
            opened,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG)
        )
    }

    /// Systems without such a cache do not know.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn is_known_absent(&self, _: &Path) -> bool {
        false
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
