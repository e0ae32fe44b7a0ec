//! `Spool`: the part of a request's body, or of a response, that is in an unlinked temporary file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use bytes::Bytes;

use crate::budget::{Budget, Loan};

/// A file that is written at its end and read once, from its beginning.
pub struct Spool {
    file: File,
    written: u64,
    read: u64,
    /// Where in the file the next call of the system would write or read.
    position: u64,
    /// Its bytes among those of all spools of the worker.
    loan: Loan,
}

impl Spool {
    /// An empty spool, whose bytes count in `all`.
    ///
    /// # Errors
    /// When the temporary file can't be made.
    pub(crate) fn new(all: &Budget) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile_in(folder())?,
            written: 0,
            read: 0,
            position: 0,
            loan: all.lend(0),
        })
    }

    /// True while there is something to read.
    pub fn is_unread(&self) -> bool {
        self.read < self.written
    }

    /// Writes a piece at the end.
    ///
    /// # Errors
    /// When the disk is full or broken.
    pub(crate) fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.go_to(self.written)?;
        self.file.write_all(data)?;
        self.written += data.len() as u64;
        self.position = self.written;
        self.loan.resize(self.loan.bytes() + data.len());
        Ok(())
    }

    /// The next piece from the front.
    ///
    /// # Errors
    /// The error of the read; `UnexpectedEof` at the end of the file.
    pub fn next_piece(&mut self) -> io::Result<Bytes> {
        self.go_to(self.read)?;
        let mut data = Vec::with_capacity(STEP as usize);
        (&mut self.file).take(STEP).read_to_end(&mut data)?;
        if data.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read += data.len() as u64;
        self.position = self.read;
        Ok(Bytes::from(data))
    }

    fn go_to(&mut self, position: u64) -> io::Result<()> {
        if self.position != position {
            self.file.seek(SeekFrom::Start(position))?;
            self.position = position;
        }
        Ok(())
    }
}

/// The bounds of a worker's spools. Clones are the same.
#[derive(Clone)]
pub struct Spools {
    /// Bytes of one.
    limit: u64,
    /// Bytes of all.
    pub(crate) all: Budget,
}

/// The reason why no more can be kept.
#[derive(Debug)]
pub enum Unspooled {
    /// One would be larger than it may be.
    TooLarge,
    /// All together would be larger than they may be.
    Crowded,
    /// The temporary file cannot be made or written.
    Storage(io::Error),
}

impl Spools {
    /// Nothing yet: `limit` bytes of each, `total` of all.
    pub fn new(limit: u64, total: u64) -> Self {
        Self {
            limit,
            all: Budget::new(usize::try_from(total).unwrap_or(usize::MAX)),
        }
    }

    /// Writes a piece at the end of `spool`, which is made for the first one.
    ///
    /// # Errors
    /// When a bound is reached, or the file can't be made or written.
    pub fn append(&self, spool: &mut Option<Spool>, data: &[u8]) -> Result<(), Unspooled> {
        let written = spool.as_ref().map_or(0, |spool| spool.written);
        if written + data.len() as u64 > self.limit {
            return Err(Unspooled::TooLarge);
        }
        append(spool, data, &self.all)
    }
}

/// The same, as far as `all` have room.
pub(crate) fn append(
    spool: &mut Option<Spool>,
    data: &[u8],
    all: &Budget,
) -> Result<(), Unspooled> {
    if data.len() > all.left() {
        return Err(Unspooled::Crowded);
    }
    if let Some(spool) = spool {
        return spool.append(data).map_err(Unspooled::Storage);
    }
    let mut first = Spool::new(all).map_err(Unspooled::Storage)?;
    first.append(data).map_err(Unspooled::Storage)?;
    *spool = Some(first);
    Ok(())
}

/// The folder of spools: `TMPDIR`, or `/tmp`.
pub(crate) fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// Bytes that stay in memory: of a body that is wanted whole, or small and its length is not declared; of a response
/// that nobody takes yet.
pub const SPOOL_THRESHOLD: usize = 1024 * 1024;
/// Most bytes that are read at a time.
const STEP: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_and_all_have_their_bytes() {
        let spools = Spools::new(100, 150);
        let (mut one, mut other) = (None, None);
        spools.append(&mut one, &[1; 99]).unwrap();
        spools.append(&mut one, &[2; 1]).unwrap();
        let more = spools.append(&mut one, &[3; 1]);
        assert!(matches!(more, Err(Unspooled::TooLarge)));
        spools.append(&mut other, &[4; 49]).unwrap();
        spools.append(&mut other, &[4; 1]).unwrap();
        let more = spools.append(&mut other, &[4; 1]);
        assert!(matches!(more, Err(Unspooled::Crowded)));
        let read = one.as_mut().map(|spool| spool.next_piece().unwrap());
        assert_eq!(read.unwrap(), [&[1; 99][..], &[2]].concat());
        drop(one);
        spools.append(&mut other, &[5; 50]).unwrap();
    }
}
