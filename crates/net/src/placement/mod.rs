//! Where connections live: on the thread of the application's event loop (st), or on threads of their own that hand
//! requests over to it (mt). The connections' code is the same. `site` is one thread's part of a worker, `io_thread` a
//! thread of its own, `hand_over` the way of requests between the two, `shared` what all threads count together.

pub mod hand_over;
pub mod io_thread;
pub mod shared;
pub mod site;
