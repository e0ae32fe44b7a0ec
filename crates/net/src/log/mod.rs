//! The access log's lines: from a record by a template to bytes, and to a file or a descriptor by a thread of their own,
//! so that the event loop waits for neither a disk nor a reader.

mod atom;
mod clock;
mod escape;
mod forms;
mod lines;
mod template;

pub use self::atom::{Atom, Context};
pub use self::clock::{Clock, Second};
pub use self::lines::{Destination, Lines};
pub use self::template::{Style, Template};
