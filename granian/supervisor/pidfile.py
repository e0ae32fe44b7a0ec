"""The file with the supervisor's process id."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import PidFileError


class PidFile:
    """Written at start, unless a live process has it; removed at the end if it is still ours.

    Its readers never see half of it: it is written beside its place and renamed. In a folder where that is not allowed,
    a file that is there already is written in place. Its mode is 0644 whatever the umask is, for others look at it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self) -> None:
        """Writes the file.

        # Errors
        `PidFileError` if a live process has it, if it is no plain file or has no number in it, or if it cannot be
        written; then nothing has changed.
        """
        owner = self._read()
        if owner is not None and owner != os.getpid() and _is_alive(owner):
            raise PidFileError(f"The PID file {self._path} already exists for {owner}")
        try:
            self._put(str(os.getpid()).encode())
        except OSError as error:
            raise PidFileError(f"Unable to write the PID file {self._path}: {error.strerror}") from None

    def remove(self) -> None:
        """Removes the file, or empties it where removing is not allowed."""
        try:
            if not self._path.is_symlink() and self._path.read_text() == str(os.getpid()):
                try:
                    self._path.unlink()
                except PermissionError:
                    os.truncate(self._path, 0)
        except (OSError, ValueError):
            pass

    def _read(self) -> int | None:
        """The owner's process id; `None` for an empty file, which a start on a full disk leaves behind."""
        try:
            mode = os.lstat(self._path).st_mode
            if not stat.S_ISREG(mode):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "no plain file"
                raise PidFileError(f"Unable to use the PID file {self._path}: it is {kind}")
            text = self._path.read_text()
            owner = int(text) if text.strip() else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            owner = 0
        if owner is not None and owner <= 0:
            raise PidFileError(f"Unable to read existing PID file {self._path}")
        return owner

    def _put(self, text: bytes) -> None:
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            beside.unlink(missing_ok=True)
            _write(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), text)
            os.replace(beside, self._path)
        except PermissionError:
            # The folder is somebody else's. What is there already may be ours to write.
            if not self._path.exists():
                raise
            _write(os.open(self._path, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)), text)
        finally:
            try:
                beside.unlink(missing_ok=True)
            except OSError:
                pass


def _write(descriptor: int, text: bytes) -> None:
    try:
        try:
            os.fchmod(descriptor, MODE)
        except OSError:
            # It may be written, but it is not ours.
            pass
        os.write(descriptor, text)
    except OSError:
        os.ftruncate(descriptor, 0)
        raise
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


MODE = 0o644
