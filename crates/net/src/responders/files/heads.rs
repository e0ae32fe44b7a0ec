//! The heads of answers with a file.

use std::time::{Duration, UNIX_EPOCH};

use granian_proto::file::Validators;
use granian_proto::{HeadError, ResponseHead};

use super::options::MountOptions;

/// The fields that describe a file besides its validators.
#[derive(Clone)]
pub(super) struct Description {
    pub(super) content_type: Option<String>,
    pub(super) coding: Option<&'static str>,
    pub(super) cache_control: Option<String>,
    /// Other clients may get it in another coding.
    pub(super) varies: bool,
    /// Parts of it may be asked for.
    pub(super) takes_ranges: bool,
}

/// The heads of answers with the whole of a file of `len` bytes, and with none of it.
///
/// # Errors
/// When a value has bytes that no field has.
pub(super) fn heads(
    options: &MountOptions,
    description: &Description,
    validators: &Validators,
    len: u64,
) -> Result<(ResponseHead, ResponseHead), HeadError> {
    let mut whole = head(200, options, description, validators)?;
    whole.append(b"content-length", len.to_string().as_bytes())?;
    // > The server generating a 304 response MUST generate any of the following header fields that would have
    // > been sent in a 200 (OK) response [...]: Content-Location, Date, ETag, and Vary; Cache-Control and
    // > Expires — RFC 9110, 15.4.5 <https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5>
    let mut not_modified = Fields::new(304, options)?;
    not_modified.add_validators(description, validators)?;
    Ok((whole, not_modified.finish()?))
}

/// A head with all that answers with bytes of a file say, but for their number.
pub(super) fn head(
    status: u16,
    options: &MountOptions,
    description: &Description,
    validators: &Validators,
) -> Result<ResponseHead, HeadError> {
    let mut fields = Fields::new(status, options)?;
    if let Some(content_type) = &description.content_type {
        fields.add("content-type", content_type)?;
    }
    if let Some(coding) = description.coding {
        fields.add("content-encoding", coding)?;
    }
    if description.takes_ranges {
        fields.add("accept-ranges", "bytes")?;
    }
    fields.add_validators(description, validators)?;
    fields.finish()
}

/// The head of an answer with a file. A field that the mount's options give takes the place of the
/// server's own.
struct Fields<'a> {
    head: ResponseHead,
    options: &'a MountOptions,
}

impl<'a> Fields<'a> {
    fn new(status: u16, options: &'a MountOptions) -> Result<Self, HeadError> {
        let head = ResponseHead::new(status)?;
        Ok(Self { head, options })
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), HeadError> {
        let mut given = self.options.headers.iter();
        if given.any(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes())) {
            return Ok(());
        }
        self.head.append(name.as_bytes(), value.as_bytes())
    }

    fn add_validators(
        &mut self,
        description: &Description,
        validators: &Validators,
    ) -> Result<(), HeadError> {
        let modified = UNIX_EPOCH + Duration::from_secs(validators.modified);
        self.add("etag", &validators.etag)?;
        self.add("last-modified", &httpdate::fmt_http_date(modified))?;
        if let Some(cache_control) = &description.cache_control {
            self.add("cache-control", cache_control)?;
        }
        if description.varies {
            // Besides those that the options give.
            self.head.append(b"vary", b"accept-encoding")?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ResponseHead, HeadError> {
        for (name, value) in &self.options.headers {
            self.head.append(name, value)?;
        }
        Ok(self.head)
    }
}

/// Tries whether the headers of `options` can be sent.
///
/// # Errors
/// The fault of the first that cannot.
pub(super) fn check(options: &MountOptions) -> Result<(), HeadError> {
    Fields::new(200, options)?.finish().map(drop)
}
