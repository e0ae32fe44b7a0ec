//! `AccessLog`: which answers get a line, and the two ways of lines: written here, without Python, or handed to handlers
//! of Python's `logging` on a thread of their own.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use super::access_records::AccessRecords;
use granian_net::exchange::record::{Interest, Record};
use granian_net::log::{Context, Destination, Lines, Style, Template};
use granian_proto::percent;

/// `granian.access_log.AccessLogOptions`.
#[derive(FromPyObject)]
pub(crate) struct AccessLogOptions {
    /// The format; checked.
    template: String,
    is_json: bool,
    /// The file that lines are written to, or else the descriptor. Without either, Python's handlers get records.
    path: Option<PathBuf>,
    descriptor: Option<i32>,
    /// Paths without lines; one that ends in a slash stands for all below it.
    exclude: Vec<String>,
    /// The part of all answers that get a line.
    sample: f64,
    /// The worker's number.
    worker: u32,
}

/// See the module's documentation.
pub(crate) struct AccessLog {
    way: Way,
    exclude: Vec<Vec<u8>>,
    sample: Option<Sample>,
    interest: Interest,
}

enum Way {
    Lines(Box<Writer>),
    Records(Arc<AccessRecords>),
}

struct Writer {
    lines: Lines,
    template: Template,
    context: Context,
}

impl AccessLog {
    /// # Errors
    /// `OSError` if the file cannot be opened, `ValueError` for a format that only Python understands with a file.
    pub(crate) fn new(options: &AccessLogOptions) -> PyResult<Self> {
        let context = Context {
            worker: options.worker,
            pid: std::process::id(),
        };
        let style = if options.is_json {
            Style::Json
        } else {
            Style::Text
        };
        let exclude = options.exclude.iter();
        let exclude = exclude.map(|path| path.clone().into_bytes()).collect();
        let sample = (options.sample < 1.0).then(|| Sample::new(options.sample));
        let (way, interest) = match options.destination()? {
            None => {
                let interest = Interest {
                    responses: true,
                    first_byte: true,
                };
                (
                    Way::Records(Arc::new(AccessRecords::new(context))),
                    interest,
                )
            }
            Some(destination) => {
                let template = Template::parse(&options.template, style);
                let template = template
                    .ok_or_else(|| PyValueError::new_err("template: not a plain format"))?;
                let interest = template.interest();
                let writer = Writer {
                    lines: Lines::new(destination, style)?,
                    template,
                    context,
                };
                (Way::Lines(Box::new(writer)), interest)
            }
        };
        Ok(Self {
            way,
            exclude,
            sample,
            interest,
        })
    }

    /// What it reads of answers.
    pub(crate) fn interest(&self) -> Interest {
        self.interest
    }

    /// Writes a line, or sees to it that one is written.
    pub(crate) fn write(&self, record: &Record<'_>) {
        if self.is_left_out(record) {
            return;
        }
        match &self.way {
            Way::Records(records) => records.add(record),
            Way::Lines(writer) => writer.lines.add(|line, clock| {
                let now = clock.at(record.answer.ended);
                writer.template.write(line, record, &writer.context, now);
            }),
        }
    }

    /// Opens the file anew.
    ///
    /// # Errors
    /// When that fails. Lines go on into the old one.
    pub(crate) fn reopen(&self) -> std::io::Result<()> {
        match &self.way {
            Way::Lines(writer) => writer.lines.reopen(),
            Way::Records(_) => Ok(()),
        }
    }

    /// Waits a moment until all lines are written.
    pub(crate) fn flush(&self) {
        match &self.way {
            Way::Lines(writer) => writer.lines.flush(FLUSH_TIMEOUT),
            Way::Records(records) => records.close(),
        }
    }

    /// The records for Python's handlers, if they get any.
    pub(crate) fn records(&self) -> Option<Arc<AccessRecords>> {
        match &self.way {
            Way::Lines(_) => None,
            Way::Records(records) => Some(Arc::clone(records)),
        }
    }

    /// The answers without a line: those of excluded paths, and those that the sample leaves out. Errors of the server
    /// are in every sample.
    fn is_left_out(&self, record: &Record<'_>) -> bool {
        if let Some(head) = record.head
            && !self.exclude.is_empty()
        {
            let path = percent::decode(head.path());
            let is_one = |excluded: &Vec<u8>| match excluded.ends_with(b"/") {
                true => path.starts_with(excluded),
                false => *path == **excluded,
            };
            if self.exclude.iter().any(is_one) {
                return true;
            }
        }
        let sample = self.sample.as_ref().filter(|_| record.answer.status < 500);
        sample.is_some_and(|sample| !sample.takes())
    }
}

impl AccessLogOptions {
    fn destination(&self) -> PyResult<Option<Destination>> {
        if let Some(path) = &self.path {
            return Ok(Some(Destination::Path(path.clone())));
        }
        self.descriptor
            .map(|descriptor| duplicate(descriptor).map(Destination::Descriptor))
            .transpose()
    }
}

/// A descriptor of our own for what this one is.
///
/// # Errors
/// `OSError` if it is not open.
pub(crate) fn duplicate(descriptor: i32) -> PyResult<OwnedFd> {
    if descriptor < 0 {
        return Err(PyOSError::new_err("invalid descriptor"));
    }
    // SAFETY: the caller vouches for the descriptor for the length of this call; one that is not
    // open makes the duplication fail.
    Ok(unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned()?)
}

/// Takes a part of all, at random: traffic may have a period of its own.
struct Sample {
    below: u64,
    state: AtomicU64,
}

impl Sample {
    fn new(part: f64) -> Self {
        Self {
            // The cast of a number above the largest one gives the largest.
            below: (part * 2f64.powi(64)) as u64,
            state: AtomicU64::new(u64::from(std::process::id())),
        }
    }

    /// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
    fn takes(&self) -> bool {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.state.fetch_add(step, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) < self.below
    }
}

const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// True if lines of this format can be written without Python.
#[pyfunction]
pub(crate) fn is_plain_format(template: &str) -> bool {
    Template::parse(template, Style::Text).is_some()
}
