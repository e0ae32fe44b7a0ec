//! Files that applications name, sent as the rest of a response. The kernel says whether it can open
//! one at once; otherwise a thread does, and the call ends after it.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use super::call::Call;
use super::file_opening::FileOpening;
use super::response::OrderError;
use granian_net::metrics::layout::at;
use granian_net::runtime::waker::lock;
use granian_net::stream::reading::Lane;
use granian_net::stream::region::FileRegion;

impl Call {
    /// Sends the file at `path`, or only the bytes from one position to another, as the rest of the
    /// body. One that cannot be opened becomes a 404 in place of the head.
    pub(crate) fn send_path(
        self: &Arc<Self>,
        path: PathBuf,
        part: Option<(u64, u64)>,
    ) -> Result<(), OrderError> {
        match FileRegion::open_now(&path) {
            Ok(Some(region)) => self.send_part(region, part),
            Ok(None) => {
                let lane = Lane::of_path(&path);
                if lane.is_full() {
                    lock(&self.response).check_file()?;
                    if let Some(page) = &self.calls.page {
                        page.add(at::STATIC_BUSY, 1);
                    }
                    self.replace_head(503, "Service unavailable");
                    return Ok(());
                }
                lock(&self.response).pause()?;
                *lock(&self.opening) = FileOpening::Running;
                let call = Arc::clone(self);
                lane.run(Box::new(move || call.open(&path, part)));
                Ok(())
            }
            Err(_) => {
                lock(&self.response).check_file()?;
                self.refuse_path(&path);
                Ok(())
            }
        }
    }

    /// Opens and sends, on a thread that may wait for a disk.
    fn open(&self, path: &Path, part: Option<(u64, u64)>) {
        let opened = FileRegion::open(path);
        lock(&self.response).resume();
        match opened {
            // A body of another length than declared is cut when the call ends.
            Ok(region) => drop(self.send_part(region, part)),
            Err(_) => self.refuse_path(path),
        }
        let opening = std::mem::take(&mut *lock(&self.opening));
        if let FileOpening::Ended(outcome) = opening {
            Python::attach(|py| self.finish(py, outcome));
        }
    }

    fn send_part(&self, region: FileRegion, part: Option<(u64, u64)>) -> Result<(), OrderError> {
        let region = match part {
            Some((start, end)) => region.slice(start, end),
            None => region,
        };
        self.send_region(region, true)
    }

    /// Sends bytes of a file, the `last` of the body or not.
    pub(crate) fn send_region(&self, region: FileRegion, last: bool) -> Result<(), OrderError> {
        let data = match self.is_bodiless() {
            true => None,
            false => region.read_now(),
        };
        match data {
            Some(data) => self.data(data, last),
            None => self.file(region, last),
        }
    }

    fn refuse_path(&self, path: &Path) {
        let message = format!("Cannot open file {}", path.display());
        Python::attach(|py| self.calls.inform(py, &message));
        self.replace_head(404, "Not found");
    }
}

/// `count` bytes of an open file, which stays the application's, from `offset` on. Without an offset
/// they are read from the file's position, which moves on behind them.
///
/// # Errors
/// `TypeError` for what has no descriptor, `ValueError` for anything but a regular file, `OSError`.
pub(crate) fn region(
    file: &Bound<'_, PyAny>,
    offset: Option<u64>,
    count: Option<u64>,
) -> PyResult<FileRegion> {
    let descriptor: i32 = match file.extract() {
        Ok(descriptor) => descriptor,
        Err(_) => file
            .call_method0(intern!(file.py(), "fileno"))
            .map_err(|_| PyTypeError::new_err("file must have a descriptor"))?
            .extract()?,
    };
    if descriptor < 0 {
        return Err(PyValueError::new_err("file is closed"));
    }
    // SAFETY: the application has just named the descriptor as its own.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let mut file = File::from(borrowed.try_clone_to_owned()?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(PyValueError::new_err("file is no regular file"));
    }
    let start = match offset {
        Some(offset) => offset,
        None => file.stream_position()?,
    };
    let end = count.map_or(u64::MAX, |count| start.saturating_add(count));
    if offset.is_none() {
        file.seek(SeekFrom::Start(end.min(metadata.len()).max(start)))?;
    }
    Ok(FileRegion::of_file(file)?.slice(start, end))
}
