"""A worker process from the inside: its title, its tie to the parent, its life, its certain end."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from .._granian import set_allocator_parameters
from ..errors import ConfigurationError
from ..log import configure_logging
from ..mechanisms import disabled
from ..title import set_title
from .exit import ExitGuard
from .life import WorkerLife
from .report import Report
from .signals import SignalAlarm, handle_dumps, handle_signals, reset_signals
from .spec import WorkerSpec


def run_worker(spec: WorkerSpec, pipe: Connection, inherited: list[int]) -> None:
    """The target of a worker's process; leaves by `sys.exit`."""
    reset_signals()
    for descriptor in inherited:
        # Other workers' pipes, which must end with the parent alone.
        os.close(descriptor)
    die_with_parent(spec.supervisor)
    os.environ.update(spec.environment)
    with suppress(ConfigurationError):
        # A name that is wrong ends the start later, in one line.
        if "allocator" not in disabled():
            set_allocator_parameters()
    set_title(spec.title)
    config = spec.config
    configure_logging(config.log_level, config.log_dictconfig, config.log_enabled)

    life = WorkerLife(spec, pipe)
    guard = ExitGuard(lambda: life.exit_code)
    life.on_stopping = guard.arm
    alarm = SignalAlarm()
    life.on_loaded = lambda: handle_signals(life, alarm)
    handle_dumps(life)
    pipe.send((Report.BOOTING, None))
    code = life.run()
    guard.arm(THREADS_TIMEOUT if guard.deadline is None else guard.left())
    sys.exit(code)


def die_with_parent(parent: int) -> None:
    """Linux sends SIGTERM when the parent dies; everywhere the pipe's end tells the same a little later."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if parent and os.getppid() != parent and multiprocessing.get_start_method(allow_none=True) == "fork":
        # The parent died before prctl was called.
        os._exit(0)


PR_SET_PDEATHSIG = 1
# Seconds for non-daemon threads to end after a worker has ended without being asked.
THREADS_TIMEOUT = 5.0
