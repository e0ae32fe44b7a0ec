//! The group of static files: `granian.config.static_files`.

use std::path::PathBuf;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use granian_net::responders::files::{Mount, MountOptions};

/// `granian.config.static_files.StaticFilesOptions`.
#[derive(FromPyObject)]
pub(crate) struct StaticFiles {
    /// Routes and the folders behind them; the first route that a path is on counts.
    mounts: Vec<(String, PathBuf)>,
    directory_file: Option<String>,
    /// Seconds.
    expires: u64,
    precompressed: bool,
    fallback: Option<String>,
    follow_links: bool,
}

impl StaticFiles {
    /// The mounts, with their folders open.
    ///
    /// # Errors
    /// `OSError` with the folder's name.
    pub(crate) fn mounts(&self) -> PyResult<Vec<Mount>> {
        let mounts = self.mounts.iter().map(|(route, folder)| {
            let options = MountOptions {
                route: route.clone(),
                folder: folder.clone(),
                directory_file: self.directory_file.clone(),
                expires: self.expires,
                precompressed: self.precompressed,
                fallback: self.fallback.clone(),
                follows_links: self.follow_links,
            };
            Mount::new(options).map_err(|error| {
                let text = format!("static files of {} at {route}: {error}", folder.display());
                PyOSError::new_err(text)
            })
        });
        mounts.collect()
    }
}
