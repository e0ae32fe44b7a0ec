"""The file with the supervisor's process id."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import PidFileError


class PidFile:
    """Written at start, unless a live process has it; removed at the end if it is still ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self) -> None:
        owner = self._read()
        if owner is not None and owner != os.getpid() and _is_alive(owner):
            raise PidFileError(f"The PID file {self._path} already exists for {owner}")
        try:
            self._path.write_text(str(os.getpid()))
        except OSError as error:
            raise PidFileError(f"Unable to write the PID file {self._path}: {error.strerror}") from None

    def remove(self) -> None:
        try:
            if self._path.read_text() == str(os.getpid()):
                self._path.unlink()
        except (OSError, ValueError):
            pass

    def _read(self) -> int | None:
        try:
            owner = int(self._path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            owner = 0
        if owner <= 0:
            raise PidFileError(f"Unable to read existing PID file {self._path}")
        return owner


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
