"""The tie of a process to its supervisor: the kernel ends it when the supervisor dies, in an import as well."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection


@dataclass(frozen=True)
class Tie:
    """How a process learns of its supervisor's death. The default is for a parent of which nothing is known."""

    # The supervisor's process id, if the supervisor is the parent; 0 if another process is.
    parent: int = 0
    # The reading end of a pipe to whose other end only the supervisor has a descriptor: for a process from a fork
    # server, which outlives the supervisor as long as one of its children does.
    lifeline: Connection | None = None

    def close(self) -> None:
        """In the supervisor, once the process has been started."""
        if self.lifeline is not None:
            self.lifeline.close()

    def hold(self) -> None:
        """Makes Linux send SIGTERM at that moment, and leaves if it has passed.

        Elsewhere the end of the worker's pipe tells the same, when the application has been imported.
        """
        if sys.platform != "linux":
            return
        try:
            if self.lifeline is not None:
                _signal_at_end(self.lifeline.fileno())
            else:
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        except (OSError, AttributeError):
            return
        has_gone = self.lifeline.poll() if self.lifeline is not None else self.parent not in (0, os.getppid())
        if has_gone:
            os._exit(0)


def _signal_at_end(descriptor: int) -> None:
    """The kernel signals the end of the pipe to this process; nothing is ever written to it (fcntl(2), O_ASYNC)."""
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGTERM)  # type: ignore[attr-defined,unused-ignore]
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | fcntl.FASYNC)


PR_SET_PDEATHSIG = 1
