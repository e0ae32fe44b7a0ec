"""The server whose workers are processes."""

from __future__ import annotations

from collections.abc import Callable

from ..supervisor.child import run_worker
from ..supervisor.handle import WorkerHandle
from ..supervisor.process import ProcessHandle
from ..supervisor.report import Boot
from .common import AbstractServer


class MPServer(AbstractServer):
    """Serves with processes, which run Python code at the same time."""

    def _launcher(self, spawn_target: Callable[..., None] | None) -> Callable[[Boot], WorkerHandle]:
        target = spawn_target or run_worker
        return lambda boot: ProcessHandle(boot, target)


WorkerProcess = ProcessHandle

__all__ = ["MPServer", "WorkerProcess"]
