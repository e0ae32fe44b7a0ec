//! `FileRegion`: a part of an open file that is to be sent, no sooner than the kernel has it in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::fs::OFlags;

use super::disk::{self, Disk};
use super::reading::{Reading, read_some};

/// Part of an open file.
pub struct FileRegion {
    /// The file, open for reading.
    pub file: Arc<File>,
    /// Start of the region, in bytes from the start of the file.
    pub offset: u64,
    /// Length of the region in bytes.
    pub len: u64,
    disk: Disk,
    warmth: Warmth,
}

/// The part of the region that the kernel has in memory.
enum Warmth {
    /// From the region's start up to here in the file.
    Until(u64),
    /// A thread reads it.
    Awaited(Arc<Reading>),
}

impl FileRegion {
    /// `len` bytes of `file` on a local disk from `offset` on.
    #[cfg(test)]
    pub(crate) fn new(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self::on(Disk::default(), file, offset, len)
    }

    fn on(disk: Disk, file: Arc<File>, offset: u64, len: u64) -> Self {
        Self {
            file,
            offset,
            len,
            disk,
            warmth: Warmth::Until(offset),
        }
    }

    /// The whole of the regular file at `path`. It may wait for a disk.
    ///
    /// # Errors
    /// The error of the open; `NotFound` for anything but a regular file, such as a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        // To open a named pipe would block the worker's thread until a writer opens it.
        let file = File::options()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        let region = Self::of_file(file)?;
        region.disk.note_path(path);
        Ok(region)
    }

    /// The same without waiting for a disk; `None` where it might wait: for names that the kernel does not know by
    /// heart, and for the first file of a folder, whose disk may be a remote one.
    ///
    /// # Errors
    /// See [`FileRegion::open`].
    #[cfg(target_os = "linux")]
    pub fn open_now(path: &Path) -> io::Result<Option<Self>> {
        use rustix::fs::{CWD, Mode, ResolveFlags, openat2};
        use rustix::io::Errno;
        if !disk::is_known_local(path) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
            Ok(file) => Self::of_file(file.into()).map(Some),
            // The kernel would have to ask the disk, is too old to tell, or may not.
            Err(Errno::AGAIN | Errno::NOSYS | Errno::INVAL | Errno::PERM) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Systems without a way to tell open files with a thread.
    ///
    /// # Errors
    /// None.
    #[cfg(not(target_os = "linux"))]
    pub fn open_now(_: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// The whole of `file`.
    ///
    /// # Errors
    /// See [`FileRegion::open`].
    pub fn of_file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let disk = Disk::of(&file, &metadata);
        Ok(Self::on(disk, Arc::new(file), 0, metadata.len()))
    }

    /// The part of the region from `start` to `end`, cut to the region.
    pub fn slice(&self, start: u64, end: u64) -> Self {
        let end = end.min(self.len);
        let start = start.min(end);
        self.part(start, end)
    }

    /// The bytes from `start` to `end` of the same file, which are for it to have.
    pub fn part(&self, start: u64, end: u64) -> Self {
        let file = Arc::clone(&self.file);
        Self::on(self.disk, file, self.offset + start, end - start)
    }

    /// True if each of its bytes may have to come from another machine.
    pub(super) fn is_remote(&self) -> bool {
        self.disk.is_remote
    }

    /// All bytes of a small region that the kernel has in memory: to send them with the head costs one
    /// system call less than to send the file behind it.
    pub fn read_now(&self) -> Option<Bytes> {
        let len = usize::try_from(self.len).ok().filter(|len| *len <= SMALL)?;
        if self.disk.is_remote {
            return None;
        }
        let mut buf = vec![0; len];
        let is_whole = read_cached(&self.file, &mut buf, self.offset) == Some(len);
        is_whole.then(|| Bytes::from(buf))
    }

    /// Up to `len` bytes from the start of the region, which moves on behind them, once they can be had without waiting
    /// for a disk.
    ///
    /// # Errors
    /// The error of the file; `UnexpectedEof` if it became shorter.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
    ) -> Poll<io::Result<Bytes>> {
        if !self.disk.is_remote {
            ready!(self.poll_warm(cx, len));
            return Poll::Ready(self.read(len));
        }
        let Warmth::Awaited(reading) = &self.warmth else {
            self.warmth = Warmth::Awaited(self.begin_reading(cx, len));
            return Poll::Pending;
        };
        if !reading.is_over() {
            return Poll::Pending;
        }
        let bytes = reading.take();
        self.warmth = Warmth::Until(self.offset);
        Poll::Ready(bytes.inspect(|bytes| self.advance(bytes.len())))
    }

    /// Ready when the kernel has the first `len` bytes in memory, as far as it tells.
    pub(crate) fn poll_warm(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<()> {
        let end = self.offset + len as u64;
        match &self.warmth {
            Warmth::Until(until) if self.offset < *until => return Poll::Ready(()),
            Warmth::Until(_) if is_cached(&self.file, self.offset, len) => {}
            Warmth::Until(_) => {
                self.warmth = Warmth::Awaited(self.begin_reading(cx, len));
                return Poll::Pending;
            }
            Warmth::Awaited(reading) if !reading.is_over() => return Poll::Pending,
            Warmth::Awaited(_) => {}
        }
        self.warmth = Warmth::Until(end);
        Poll::Ready(())
    }

    /// True while a thread reads what was asked for last; the waker of then is woken.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(&self.warmth, Warmth::Awaited(reading) if !reading.is_over())
    }

    fn begin_reading(&self, cx: &Context<'_>, len: usize) -> Arc<Reading> {
        let file = (&self.file, self.disk);
        Reading::begin(file, self.offset, len, cx.waker())
    }

    /// The same as [`FileRegion::poll_read`], waiting where it has to.
    ///
    /// # Errors
    /// See there.
    pub(crate) fn read(&mut self, len: usize) -> io::Result<Bytes> {
        let bytes = read_some(&self.file, self.offset, len)?;
        self.advance(bytes.len());
        Ok(bytes)
    }

    fn advance(&mut self, count: usize) {
        self.offset += count as u64;
        self.len -= count as u64;
    }
}

/// True if both ends of these bytes are in memory, or the system does not tell. Files are read
/// ahead from start to end, so that what is between them is, too.
fn is_cached(file: &File, offset: u64, len: usize) -> bool {
    let mut byte = [0];
    let last = offset + (len as u64).saturating_sub(1);
    [offset, last]
        .iter()
        .all(|offset| read_cached(file, &mut byte, *offset).is_some())
}

/// Reads what is in memory; `None` if that is nothing. An error counts as no byte: the read that
/// follows has it, too. Local file systems that cannot tell (overlayfs, tmpfs) are read from.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, buf: &mut [u8], offset: u64) -> Option<usize> {
    use std::os::unix::fs::FileExt;

    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let mut slices = [io::IoSliceMut::new(buf)];
    match preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
        Ok(count) => Some(count),
        Err(Errno::AGAIN) => None,
        Err(Errno::OPNOTSUPP) => Some(file.read_at(&mut slices[0], offset).unwrap_or(0)),
        Err(_) => Some(0),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    Some(0)
}

/// Bytes up to which a region is read at once.
const SMALL: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::task::Waker;

    use super::*;

    fn region(content: &[u8]) -> FileRegion {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        FileRegion::of_file(file).unwrap()
    }

    #[test]
    fn a_region_of_a_region() {
        let part = region(b"0123456789").slice(2, 8).slice(1, 100);
        assert_eq!((part.offset, part.len), (3, 5));
        assert_eq!(part.read_now().unwrap_or_default(), b"34567"[..]);
    }

    #[test]
    fn what_has_just_been_written_is_warm() {
        let mut region = region(&[7; 300_000]);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(region.read_now().is_none(), "it is large");
        assert!(region.poll_warm(&mut cx, 200_000).is_ready());
    }

    #[test]
    fn a_file_that_has_become_shorter_is_for_the_read_to_find() {
        let mut region = region(b"0123456789");
        region.file.set_len(0).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(region.read_now().is_none());
        assert!(region.poll_warm(&mut cx, 10).is_ready());
        let error = region.read(10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
