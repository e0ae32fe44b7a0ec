"""A worker process from the inside: its title, its tie to the parent, its life, its certain end."""

from __future__ import annotations

import multiprocessing
import os
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from .._granian import set_allocator_parameters
from ..errors import ConfigurationError
from ..formatters import name_worker
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
    spec.tie.hold()
    os.environ.update(spec.environment)
    with suppress(ConfigurationError):
        # A name that is wrong ends the start later, in one line.
        if "allocator" not in disabled():
            set_allocator_parameters()
    set_title(spec.title)
    # This process's own start has settled it.
    multiprocessing.set_start_method(spec.start_method, force=True)
    if spec.stdin is not None:
        take_stdin(spec.stdin)
    config = spec.config
    name_worker(spec.number)
    configure_logging(config.log_level, config.log_dictconfig, config.log_enabled, config.log_format)

    life = WorkerLife(spec, pipe)
    guard = ExitGuard(lambda: life.exit_code)
    life.on_stopping = guard.arm
    alarm = SignalAlarm()
    life.on_loaded = lambda: handle_signals(life, alarm)
    handle_dumps(life)
    pipe.send((Report.BOOTING, None))
    code = life.run()
    guard.leave(max(LEFTOVERS_TIMEOUT, config.background_timeout / 2))
    sys.exit(code)


def take_stdin(stdin: Connection) -> None:
    """Gives this process a standard input again, for `breakpoint()`: multiprocessing has closed it."""
    os.dup2(stdin.fileno(), 0)
    stdin.close()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (it stays open)


# Seconds that threads and child processes have to end once the worker has.
LEFTOVERS_TIMEOUT = 1.0
