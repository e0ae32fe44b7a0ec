//! `FileRegion`: a part of an open file that is to be sent.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::OFlags;

/// Part of an open file.
pub struct FileRegion {
    /// The file, open for reading.
    pub file: Arc<File>,
    /// Start of the region, in bytes from the start of the file.
    pub offset: u64,
    /// Length of the region in bytes.
    pub len: u64,
}

impl FileRegion {
    /// The whole of the regular file at `path`.
    ///
    /// # Errors
    /// The error of the open; `NotFound` for anything but a regular file, such as a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        // To open a named pipe would block the worker's thread until a writer opens it.
        let file = File::options()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self {
            file: Arc::new(file),
            offset: 0,
            len: metadata.len(),
        })
    }

    /// The part of the region from `start` to `end`, cut to the region.
    pub fn slice(mut self, start: u64, end: u64) -> Self {
        let end = end.min(self.len);
        let start = start.min(end);
        self.offset += start;
        self.len = end - start;
        self
    }
}

/// Reads up to `len` bytes from the start of the region, which moves on behind them.
///
/// # Errors
/// The error of the file; `UnexpectedEof` if it became shorter.
pub(crate) fn read_region(region: &mut FileRegion, len: usize) -> io::Result<Bytes> {
    let mut buf = vec![0; len];
    let count = region.file.read_at(&mut buf, region.offset)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buf.truncate(count);
    region.offset += count as u64;
    region.len -= count as u64;
    Ok(Bytes::from(buf))
}
