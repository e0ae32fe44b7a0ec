//! The server's own applications around the user's, as the options ask for them.

use std::rc::Rc;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::options::{Options, sendfile_mounts};
use granian_net::exchange::app::App;
use granian_net::metrics::Page;
use granian_net::responders::compress::Compress;
use granian_net::responders::files::{Files, HandOff};
use granian_net::runtime::reactor::Reactor;

/// `app`, which the thread `caller` calls, behind compression, files that its responses name, and static files.
pub(crate) fn behind_responders(
    app: Rc<dyn App>,
    options: &Options,
    reactor: &Reactor,
    page: Option<&Arc<Page>>,
    caller: usize,
) -> PyResult<Rc<dyn App>> {
    let app = match options.compress {
        true => Rc::new(Compress::new(app, reactor, caller)?),
        false => app,
    };
    let app = with_hand_off(app, options, reactor, page)?;
    with_files(app, options, reactor, page)
}

/// `app`, whose responses may name files, if there are folders for that.
fn with_hand_off(
    app: Rc<dyn App>,
    options: &Options,
    reactor: &Reactor,
    page: Option<&Arc<Page>>,
) -> PyResult<Rc<dyn App>> {
    if options.sendfile_map.is_empty() {
        return Ok(app);
    }
    let mounts = sendfile_mounts(&options.sendfile_map)?;
    Ok(Rc::new(HandOff::new(
        mounts,
        app,
        reactor,
        page.map(Arc::clone),
    )?))
}

/// `app` behind the static files, if there are any.
fn with_files(
    app: Rc<dyn App>,
    options: &Options,
    reactor: &Reactor,
    page: Option<&Arc<Page>>,
) -> PyResult<Rc<dyn App>> {
    Ok(match &options.static_files {
        Some(files) => {
            let page = page.cloned();
            Rc::new(Files::new(files.mounts()?, app, reactor, page)?)
        }
        None => app,
    })
}
