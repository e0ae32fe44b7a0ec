//! `Page`: memory that a worker writes its numbers to and another process reads.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::layout::{self, row};

/// See the module's documentation. Any thread may use it.
pub struct Page(NonNull<AtomicU64>);

// SAFETY: the memory is only reached as atomics, and stays mapped until the drop.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// Maps the first [`layout::BYTES`] bytes of a file, which the descriptor may be closed behind.
    ///
    /// # Errors
    /// When it is no such file: none that can be mapped and written, or a shorter one.
    pub fn map(file: impl AsFd) -> io::Result<Self> {
        let size = rustix::fs::fstat(&file)?.st_size;
        if usize::try_from(size).is_ok_and(|size| size < layout::BYTES) {
            // To touch a page behind the end of the file is a fatal signal.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, of which nobody else knows.
        let memory = unsafe { mmap(null_mut(), layout::BYTES, access, MapFlags::SHARED, file, 0)? };
        NonNull::new(memory.cast())
            .map(Self)
            .ok_or(io::ErrorKind::OutOfMemory.into())
    }

    /// A page that nobody else has, with zeros on it.
    ///
    /// # Errors
    /// When there is no memory.
    pub(super) fn own() -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as in `map`.
        let memory =
            unsafe { mmap_anonymous(null_mut(), layout::BYTES, access, MapFlags::PRIVATE)? };
        NonNull::new(memory.cast())
            .map(Self)
            .ok_or(io::ErrorKind::OutOfMemory.into())
    }

    /// The word `at`, below `layout::at::END`; the first word for any other.
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at < layout::at::END);
        let at = if at < layout::at::END { at } else { 0 };
        // SAFETY: within the mapping, which lasts as long as `self`; it is aligned, as mappings are, and other processes
        // write whole words.
        unsafe { self.0.add(at).as_ref() }
    }

    /// The row `index`, below [`layout::ROWS`]; the first one for any other.
    pub(super) fn row(&self, index: u16) -> &[AtomicU64; row::WORDS] {
        debug_assert!(usize::from(index) < layout::ROWS);
        let index = usize::from(index);
        let index = if index < layout::ROWS { index } else { 0 };
        // SAFETY: as for `word`: the last row ends before `at::END`. An array is as its elements are.
        unsafe {
            self.0
                .add(layout::at::ROWS + index * row::WORDS)
                .cast()
                .as_ref()
        }
    }

    /// Adds to a word that several threads write.
    pub fn add(&self, at: usize, count: u64) {
        self.word(at).fetch_add(count, Ordering::Relaxed);
    }

    /// Subtracts from a word that several threads write.
    pub fn subtract(&self, at: usize, count: u64) {
        self.word(at).fetch_sub(count, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn read(&self, at: usize) -> u64 {
        self.word(at).load(Ordering::Relaxed)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map`, and no reference into it outlives `self`.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast(), layout::BYTES) };
        debug_assert!(unmapped.is_ok());
    }
}
