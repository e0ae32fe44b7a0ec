//! `MountOptions`: what is served below a route, and how.

use std::path::PathBuf;

use regex_lite::Regex;

/// The options of a mount; see docs/static.md.
#[derive(Clone, Debug, Default)]
pub struct MountOptions {
    /// The path that requests begin with, such as `/static`; `/` is every path.
    pub route: String,
    /// The folder.
    pub folder: PathBuf,
    /// The file that answers for a folder, such as `index.html`.
    pub directory_file: Option<String>,
    /// `max-age` of `cache-control`, in seconds; none is sent for 0.
    pub expires: u64,
    /// Neighbours such as `app.js.br` are served to clients that take them.
    pub precompressed: bool,
    /// The file that answers, with 200, where a page is asked for and there is no file.
    pub fallback: Option<String>,
    /// Symbolic links may lead out of the folder.
    pub follows_links: bool,
    /// A path without a file is the application's.
    pub falls_through: bool,
    /// Files whose path below the folder one of them matches never change.
    pub immutable: Vec<Regex>,
    /// Fields of each answer with a file, in place of those of the same name.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Files of types that gain by it are compressed for clients that take it.
    pub compresses: bool,
    /// Content types by the ending of the name, which is in lower case and without its dot.
    pub types: Vec<(String, String)>,
}
