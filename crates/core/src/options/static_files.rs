//! The group of static files: `granian.config.static_files`.

use std::path::PathBuf;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use granian_net::responders::files::{Mount, MountOptions, Regex};

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
    fallthrough: bool,
    immutable: Vec<String>,
    /// For each mount.
    headers: Vec<Vec<(String, String)>>,
    types: Vec<(String, String)>,
    compress: bool,
}

impl StaticFiles {
    /// The mounts, with their folders open.
    ///
    /// # Errors
    /// `OSError` with the folder's name, `ValueError` for a pattern that is none.
    pub(crate) fn mounts(&self) -> PyResult<Vec<Mount>> {
        let immutable = self.immutable.iter().map(|text| pattern(text));
        let immutable = immutable.collect::<PyResult<Vec<_>>>()?;
        let mounts = self.mounts.iter().zip(&self.headers);
        let mounts = mounts.map(|((route, folder), headers)| {
            let options = MountOptions {
                route: route.clone(),
                folder: folder.clone(),
                directory_file: self.directory_file.clone(),
                expires: self.expires,
                precompressed: self.precompressed,
                fallback: self.fallback.clone(),
                follows_links: self.follow_links,
                falls_through: self.fallthrough,
                immutable: immutable.clone(),
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
                    .collect(),
                compresses: self.compress,
                types: self.types.clone(),
            };
            Mount::new(options).map_err(|error| {
                let text = format!("static files of {} at {route}: {error}", folder.display());
                PyOSError::new_err(text)
            })
        });
        mounts.collect()
    }
}

/// The folders that responses may name files in, open, behind their prefixes.
///
/// # Errors
/// `OSError` with the folder's name.
pub(crate) fn sendfile_mounts(map: &[(String, PathBuf)]) -> PyResult<Vec<Mount>> {
    let mounts = map.iter().map(|(route, folder)| {
        let options = MountOptions {
            route: route.clone(),
            folder: folder.clone(),
            ..MountOptions::default()
        };
        Mount::new(options).map_err(|error| {
            let text = format!("files to send of {}: {error}", folder.display());
            PyOSError::new_err(text)
        })
    });
    mounts.collect()
}

/// Raises `ValueError` for a text that is no regular expression.
#[pyfunction]
pub(crate) fn check_pattern(text: &str) -> PyResult<()> {
    pattern(text).map(drop)
}

fn pattern(text: &str) -> PyResult<Regex> {
    Regex::new(text).map_err(|error| {
        PyValueError::new_err(format!("{text:?} is no regular expression: {error}"))
    })
}
