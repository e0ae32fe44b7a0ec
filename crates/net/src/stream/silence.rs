//! `silence_of()`: the time since a TCP socket's peer has sent something, which is for how long received bytes wait.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// See the module's documentation; `None` for other sockets. The grain is that of the kernel's clock, a few
/// milliseconds.
pub(super) fn silence_of(socket: BorrowedFd<'_>) -> Option<Duration> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes where it is told to.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    // SAFETY: all of it was zero before, and zero is a value of each of its fields.
    let info = unsafe { info.assume_init() };
    (result == 0).then(|| Duration::from_millis(info.tcpi_last_data_recv.into()))
}
