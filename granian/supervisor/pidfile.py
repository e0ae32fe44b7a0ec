"""The file with the supervisor's process id."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import PidFileError
from ..log import logger


class PidFile:
    """Written at start, unless a live process has it; removed at the end if it is still ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self) -> None:
        owner = self._read()
        if owner is not None and owner != os.getpid() and _is_alive(owner):
            logger.error("The PID file %s already exists for %d", self._path, owner)
            raise PidFileError(str(self._path))
        try:
            self._path.write_text(str(os.getpid()))
        except OSError as error:
            logger.error("Unable to write the PID file %s: %s", self._path, error.strerror)
            raise PidFileError(str(self._path)) from error

    def remove(self) -> None:
        try:
            if self._path.read_text() == str(os.getpid()):
                self._path.unlink()
        except (OSError, ValueError):
            pass

    def _read(self) -> int | None:
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.error("Unable to read existing PID file %s", self._path)
            raise PidFileError(str(self._path)) from error


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
