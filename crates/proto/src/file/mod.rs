//! The rules of requests for stored files: which path is asked for, whether the client has the file already, which
//! part of it goes out, and in which content coding.

mod conditional;
mod path;
mod range;
mod select;

pub use conditional::{Precondition, Validators};
pub use path::segments;
pub use range::Ranges;
pub use select::choose_coding;
