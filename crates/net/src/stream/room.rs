//! `room_of()`: how many bytes a socket takes before it is full, so that no more than that is read from a disk for it.

#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

/// See the module's documentation; `None` where the system does not tell. Half of what is free may go to what the
/// kernel keeps beside the bytes (two sevenths over loopback); whoever fills the socket asks again.
#[cfg(target_os = "linux")]
pub(super) fn room_of(socket: BorrowedFd<'_>) -> Option<usize> {
    let mut facts = [0_u32; FACTS];
    let mut len = size_of_val(&facts) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes where it is told to.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            facts.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    // TCP counts what is queued; sockets of the Unix domain what was allocated.
    let used = facts[QUEUED].max(facts[ALLOCATED]);
    let free = facts[BUFFER].saturating_sub(used) as usize;
    (result == 0).then_some(free / 2)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn room_of(_: BorrowedFd<'_>) -> Option<usize> {
    None
}

/// Places in the answer to `SO_MEMINFO`, as in linux/sock_diag.h.
#[cfg(target_os = "linux")]
const ALLOCATED: usize = 2;
#[cfg(target_os = "linux")]
const BUFFER: usize = 3;
#[cfg(target_os = "linux")]
const QUEUED: usize = 5;
#[cfg(target_os = "linux")]
const FACTS: usize = 9;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Fills `near`; the room that it has before, then, and when `far` has read all of it.
    fn fill(near: &mut (impl Write + AsFd), far: &mut impl Read) -> [Option<usize>; 3] {
        let before = room_of(near.as_fd());
        let mut count = 0;
        while let Ok(written) = near.write(&[0; 4096]) {
            count += written;
        }
        let full = room_of(near.as_fd());
        assert!(far.read_exact(&mut vec![0; count]).is_ok());
        [before, full, room_of(near.as_fd())]
    }

    #[test]
    fn a_full_socket_has_no_room() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let [before, full, _] = fill(&mut near, &mut far);
        assert!(before > Some(16 * 1024), "{before:?}");
        assert!(full < Some(4096), "{full:?}");
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let [before, full, after] = fill(&mut near, &mut far);
        assert!(full.is_some() && full < before && full < after);
    }
}
