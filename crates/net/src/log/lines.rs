//! `Lines`: lines on their way to a file, a pipe or a terminal, which a thread writes.
//!
//! Who has a line appends it to a buffer, and never waits for the disk or for a reader. The thread gathers for some
//! milliseconds, so that it writes a hundred times a second on a busy server and not once a line. The buffer is bounded:
//! lines that find no room, or no reader for a second, are counted, and their number is written once there is room.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};

use super::clock::Clock;
use super::template::Style;
use crate::runtime::waker::lock;

/// See the module's documentation. Its drop ends the thread, behind what it has been given.
pub struct Lines {
    shared: Arc<Shared>,
    path: Option<PathBuf>,
}

/// Where lines go.
pub enum Destination {
    /// A descriptor, for instance that of the standard output.
    Descriptor(OwnedFd),
    /// A file, which lines are appended to.
    Path(PathBuf),
}

struct Shared {
    state: Mutex<State>,
    /// The thread waits for lines.
    has_lines: Condvar,
    /// `flush` waits for the thread.
    is_done: Condvar,
    style: Style,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    /// Of lines that have a time.
    clock: Clock,
    /// Lines that found no room.
    lost: u64,
    /// The thread waits to be told of lines.
    is_waiting: bool,
    /// The thread has taken lines and not written them all.
    is_writing: bool,
    /// The file in the place of the one before.
    reopened: Option<File>,
    is_over: bool,
}

impl Lines {
    /// Lines of this `style` to there.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread started.
    pub fn new(destination: Destination, style: Style) -> io::Result<Self> {
        let (sink, path) = match destination {
            Destination::Descriptor(descriptor) => (Sink::new(File::from(descriptor)), None),
            Destination::Path(path) => (Sink::new(open(&path)?), Some(path)),
        };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            has_lines: Condvar::new(),
            is_done: Condvar::new(),
            style,
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("granian-access-log".to_owned());
        thread.spawn(move || theirs.run(sink))?;
        Ok(Self { shared, path })
    }

    /// Has `write` append a line, unless there is no room. It has a clock for the line's time.
    pub fn add(&self, write: impl FnOnce(&mut Vec<u8>, &mut Clock)) {
        let mut guard = lock(&self.shared.state);
        let state = &mut *guard;
        if state.buffer.len() >= MOST {
            state.lost += 1;
            return;
        }
        write(&mut state.buffer, &mut state.clock);
        if std::mem::take(&mut state.is_waiting) {
            self.shared.has_lines.notify_one();
        }
    }

    /// Opens the file anew under its name; nothing for a descriptor.
    ///
    /// # Errors
    /// When it cannot be opened. Lines go on into the old one.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.path {
            let file = open(path)?;
            let mut state = lock(&self.shared.state);
            state.reopened = Some(file);
            state.is_waiting = false;
            self.shared.has_lines.notify_one();
        }
        Ok(())
    }

    /// Waits until all lines are written, so long at most.
    pub fn flush(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        let mut state = lock(&self.shared.state);
        while !state.buffer.is_empty() || state.is_writing || state.reopened.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.is_done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.buffer.is_empty() || self.reopened.is_some() || self.is_over
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        lock(&self.shared.state).is_over = true;
        self.shared.has_lines.notify_one();
    }
}

impl Shared {
    fn run(&self, mut sink: Sink) {
        let mut lines = Vec::new();
        let mut lost = 0;
        loop {
            let (is_over, is_busy) = self.wait();
            if !is_over && !is_busy {
                std::thread::sleep(GATHER);
            }
            {
                let mut state = lock(&self.state);
                std::mem::swap(&mut lines, &mut state.buffer);
                lost += std::mem::take(&mut state.lost);
                if let Some(file) = state.reopened.take() {
                    sink = Sink::new(file);
                }
                state.is_writing = true;
            }
            if lost > 0 && sink.write(self.remark(lost).as_bytes()) == 0 {
                lost = 0;
            }
            lost += sink.write(&lines);
            lines.clear();
            lines.shrink_to(KEPT);
            let mut state = lock(&self.state);
            state.is_writing = false;
            self.is_done.notify_all();
            if is_over && state.buffer.is_empty() {
                return;
            }
            drop(state);
            // Most likely more lines come, of which nobody has to tell.
            std::thread::sleep(GATHER);
        }
    }

    /// Waits for something to do. True if the lines are over, and if there was something at once.
    fn wait(&self) -> (bool, bool) {
        let mut state = lock(&self.state);
        let is_busy = state.has_work();
        while !state.has_work() {
            state.is_waiting = true;
            let waited = self.has_lines.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_waiting = false;
        (state.is_over, is_busy)
    }

    fn remark(&self, lost: u64) -> String {
        let lines = if lost == 1 { "line" } else { "lines" };
        let text = format!("{lost} {lines} of the access log could not be written");
        match self.style {
            Style::Text => format!("[WARNING] {text}\n"),
            Style::Json => {
                let pid = std::process::id();
                format!(
                    "{{\"level\":\"warning\",\"logger\":\"granian.access\",\"process\":{pid},\"message\":\"{text}\"}}\n"
                )
            }
        }
    }
}

/// The file, and whether a write to it may wait for somebody.
struct Sink {
    file: File,
    waits: bool,
    /// The last line ends in its middle.
    is_cut: bool,
    /// The last write found no room.
    is_full: bool,
}

impl Sink {
    fn new(file: File) -> Self {
        let kind = fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let waits = matches!(
            kind,
            Ok(FileType::Fifo | FileType::Socket | FileType::CharacterDevice)
        );
        Self {
            file,
            waits,
            is_cut: false,
            is_full: false,
        }
    }

    /// Writes whole lines; the number of those that were lost. Of a reader that has gone none is.
    fn write(&mut self, lines: &[u8]) -> u64 {
        let mut rest = lines;
        if self.is_cut && !rest.is_empty() {
            if self.write_piece(b"\n").is_err() {
                return count(rest);
            }
            self.is_cut = false;
        }
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(piece_of(rest, self.waits));
            let written = match self.write_piece(piece) {
                Ok(()) => piece.len(),
                Err((error, _)) if error.kind() == io::ErrorKind::BrokenPipe => return 0,
                Err((_, written)) => written,
            };
            if let Some(last) = piece[..written].last() {
                self.is_cut = *last != b'\n';
            }
            if written < piece.len() {
                return count(&rest[written..]);
            }
            rest = behind;
        }
        0
    }

    /// # Errors
    /// That of the write, with the number of bytes that were written before.
    fn write_piece(&mut self, piece: &[u8]) -> Result<(), (io::Error, usize)> {
        let mut done = 0;
        while done < piece.len() {
            let patience = if self.is_full {
                Duration::ZERO
            } else {
                PATIENCE
            };
            self.is_full = self.waits && !has_room(self.file.as_fd(), patience);
            if self.is_full {
                return Err((io::ErrorKind::TimedOut.into(), done));
            }
            match self.file.write(&piece[done..]) {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), done)),
                Ok(written) => done += written,
                // Somebody who shares the pipe has made it non-blocking, and others have filled it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((error, done)),
            }
        }
        Ok(())
    }
}

/// Length of the first piece of `lines` to write: all of them to a file; as many whole ones as a pipe takes at once,
/// unmixed with those of other processes (pipe(7), "PIPE_BUF").
fn piece_of(lines: &[u8], is_pipe: bool) -> usize {
    if !is_pipe || lines.len() <= PIECE {
        return lines.len();
    }
    memchr::memrchr(b'\n', &lines[..PIECE]).map_or(PIECE, |end| end + 1)
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

fn has_room(file: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut polled = [PollFd::new(&file, PollFlags::OUT)];
    let timeout = Timespec::try_from(patience).unwrap_or_default();
    !matches!(poll(&mut polled, Some(&timeout)), Ok(0))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Time for which the thread gathers lines.
const GATHER: Duration = Duration::from_millis(10);
/// Time that a line waits for a reader, once.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of lines that wait.
const MOST: usize = 4 * 1024 * 1024;
/// Bytes of a buffer that is kept.
const KEPT: usize = 256 * 1024;
/// Bytes that a pipe takes at once when it says that it has room.
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn say(lines: &Lines, text: &str) {
        lines.add(|buffer, _| {
            buffer.extend_from_slice(text.as_bytes());
            buffer.push(b'\n');
        });
    }

    #[test]
    fn lines_are_appended_and_the_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(&path, "before\n").unwrap();
        let lines = Lines::new(Destination::Path(path.clone()), Style::Text).unwrap();
        say(&lines, "one");
        lines.flush(SOON);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\none\n");
        let rotated = folder.path().join("access.log.1");
        std::fs::rename(&path, &rotated).unwrap();
        say(&lines, "two");
        lines.flush(SOON);
        lines.reopen().unwrap();
        say(&lines, "three");
        lines.flush(SOON);
        assert_eq!(
            std::fs::read_to_string(&rotated).unwrap(),
            "before\none\ntwo\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_anew_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let path = below.join("access.log");
        let lines = Lines::new(Destination::Path(path.clone()), Style::Text).unwrap();
        let moved = folder.path().join("moved");
        std::fs::rename(&below, &moved).unwrap();
        assert!(lines.reopen().is_err());
        say(&lines, "one");
        lines.flush(SOON);
        assert_eq!(
            std::fs::read_to_string(moved.join("access.log")).unwrap(),
            "one\n"
        );
        assert!(Lines::new(Destination::Path(path), Style::Text).is_err());
    }

    #[test]
    fn lines_for_nobody_are_counted() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let lines = Lines::new(Destination::Descriptor(writer.into()), Style::Text).unwrap();
        let long = "x".repeat(1 << 20);
        say(&lines, &long);
        // Nobody reads: the line finds no room for a second.
        lines.flush(SOON);
        say(&lines, "lost at once");
        lines.flush(SOON);
        let mut taken = vec![0; 1 << 16];
        reader.read_exact(&mut taken).unwrap();
        say(&lines, "late");
        drop(lines);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let (cut, rest) = text.split_once('\n').unwrap();
        assert!(cut.bytes().all(|byte| byte == b'x'));
        assert_eq!(
            rest,
            "[WARNING] 2 lines of the access log could not be written\nlate\n"
        );
    }

    #[test]
    fn a_reader_that_has_gone_is_nothing() {
        let (reader, writer) = std::io::pipe().unwrap();
        let lines = Lines::new(Destination::Descriptor(writer.into()), Style::Text).unwrap();
        drop(reader);
        say(&lines, "one");
        lines.flush(SOON);
        say(&lines, "two");
        lines.flush(SOON);
    }

    #[test]
    fn the_buffer_is_bounded() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let lines = Lines::new(Destination::Descriptor(writer.into()), Style::Json).unwrap();
        let long = "x".repeat(1 << 20);
        for _ in 0..20 {
            say(&lines, &long);
        }
        let state = lock(&lines.shared.state);
        assert!(state.buffer.len() <= MOST + long.len() + 1);
    }

    #[test]
    fn whole_lines_go_into_a_pipe() {
        assert_eq!(piece_of(b"a\nb\n", true), 4);
        let long = [vec![b'a'; 4000], vec![b'\n'], vec![b'b'; 4000], vec![b'\n']].concat();
        assert_eq!(piece_of(&long, true), 4001);
        assert_eq!(piece_of(&long[1..4000], true), 3999);
        assert_eq!(piece_of(&[b'a'; 9000], true), PIECE);
        assert_eq!(piece_of(&long, false), long.len());
    }
}
