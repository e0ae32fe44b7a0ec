"""A file system that answers when a test lets it (FUSE, spoken here; Linux, as root)."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEVICE = "/dev/fuse"
# Operations of linux/fuse.h that a folder of files is asked for.
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 17, 26, 36, 42
EMPTY = {18, 25, 29}  # RELEASE, FLUSH, RELEASEDIR
OPENDIR = 27
# The kernel may keep names and attributes for so many seconds.
KEEPS = 3600
ROOT = 1


class SlowFolder:
    """Files in memory. Operations of the kinds in `held` wait until `release`."""

    def __init__(self, path: Path, files: dict[str, bytes]) -> None:
        self._files = list(files.items())
        self._waiting: deque[tuple[int, int, int, bytes]] = deque()
        self._held: set[int] = set()
        self._changed = threading.Condition()
        self.path = path
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._device = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        data = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self._libc.mount(b"slow", os.fsencode(path), b"fuse", 0, data) != 0:
            code = ctypes.get_errno()
            os.close(self._device)
            raise OSError(code, os.strerror(code))
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hold(self, *kinds: int) -> None:
        """From now on these wait."""
        with self._changed:
            self._held = set(kinds)

    def wait_held(self, count: int) -> None:
        """Waits until so many operations wait."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._waiting) >= count, 10), len(self._waiting)

    def release(self) -> None:
        """All operations go on."""
        with self._changed:
            self._held = set()
            while self._waiting:
                self._answer(*self._waiting.popleft())

    def vanish(self) -> None:
        """As a network file system whose server is gone: every operation fails."""
        if self._device >= 0:
            os.write(self._ended, b"x")
            self._thread.join()
            os.close(self._device)
            self._device = -1

    def close(self) -> None:
        self.vanish()
        detach = 2
        self._libc.umount2(os.fsencode(self.path), detach)
        os.close(self._end)
        os.close(self._ended)

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._device, self._end], [], [])
            if self._end in ready:
                return
            try:
                message = os.read(self._device, 1 << 18)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno == errno.ENOENT:  # interrupted
                    continue
                return
            _, kind, unique, node = struct.unpack_from("=IIQQ", message)
            with self._changed:
                if kind in self._held:
                    self._waiting.append((kind, unique, node, message[40:]))
                    self._changed.notify_all()
                else:
                    self._answer(kind, unique, node, message[40:])

    def _answer(self, kind: int, unique: int, node: int, body: bytes) -> None:
        if kind in (FORGET, INTERRUPT, BATCH_FORGET):
            return
        answer = self._result(kind, node, body)
        failed, data = (-answer, b"") if isinstance(answer, int) else (0, answer)
        try:
            os.write(self._device, struct.pack("=IiQ", 16 + len(data), failed, unique) + data)
        except OSError:
            pass  # it waits no more

    def _result(self, kind: int, node: int, body: bytes) -> bytes | int:
        if kind == INIT:
            return struct.pack("=IIIIHHIIHHI7I", 7, 31, 1 << 17, 0, 64, 48, 1 << 17, 1, 32, 0, 0, *[0] * 7)
        if kind == LOOKUP:
            names = [name for name, _ in self._files]
            name = body.rstrip(b"\0").decode()
            if name not in names:
                return errno.ENOENT
            number = names.index(name) + 2
            return struct.pack("=QQQQII", number, 0, KEEPS, KEEPS, 0, 0) + self._attributes(number)
        if kind == GETATTR:
            return struct.pack("=QII", KEEPS, 0, 0) + self._attributes(node)
        if kind in (OPEN, OPENDIR):
            return struct.pack("=QII", node, 0, 0)
        if kind == READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            return self._files[node - 2][1][offset : offset + size]
        if kind == STATFS:
            return struct.pack("=5Q4I6I", *[0] * 5, 4096, 255, 4096, 0, *[0] * 6)
        return b"" if kind in EMPTY else errno.ENOSYS

    def _attributes(self, node: int) -> bytes:
        is_folder = node == ROOT
        size = 0 if is_folder else len(self._files[node - 2][1])
        mode = stat.S_IFDIR | 0o755 if is_folder else stat.S_IFREG | 0o644
        times = [1_700_000_000] * 3
        return struct.pack("=6Q10I", node, size, 0, *times, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


@contextmanager
def slow_folder(path: Path, files: dict[str, bytes]) -> Iterator[SlowFolder]:
    """Mounted at `path`, which is made. `OSError` where that cannot be."""
    path.mkdir()
    folder = SlowFolder(path, files)
    try:
        yield folder
    finally:
        folder.release()
        folder.close()
