//! `Spool`: the part of a request's body that is in an unlinked temporary file.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

use bytes::Bytes;

use crate::budget::{Budget, Loan};

/// A file that is written to its end first, and then read once.
pub(crate) struct Spool {
    file: File,
    written: u64,
    read: u64,
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
            loan: all.lend(0),
        })
    }

    /// True while there is something to read.
    pub(crate) fn is_unread(&self) -> bool {
        self.read < self.written
    }

    /// Writes a piece at the end.
    ///
    /// # Errors
    /// When the disk is full or broken.
    pub(crate) fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.written += data.len() as u64;
        self.loan.resize(self.loan.bytes() + data.len());
        Ok(())
    }

    /// The next piece from the front, once all is written.
    ///
    /// # Errors
    /// The error of the read; `UnexpectedEof` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Bytes> {
        if self.read == 0 {
            self.file.rewind()?;
        }
        let mut data = Vec::with_capacity(STEP as usize);
        (&mut self.file).take(STEP).read_to_end(&mut data)?;
        if data.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read += data.len() as u64;
        Ok(Bytes::from(data))
    }
}

/// The folder of spools: `TMPDIR`, or `/tmp`.
pub(crate) fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// Most bytes that are read at a time.
const STEP: u64 = 256 * 1024;
