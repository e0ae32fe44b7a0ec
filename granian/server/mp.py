"""The server whose workers are processes."""

from __future__ import annotations

import gc
import multiprocessing
import threading
from collections.abc import Callable

from ..errors import ConfigurationError
from ..supervisor.child import run_worker
from ..supervisor.handle import WorkerHandle
from ..supervisor.process import ProcessHandle
from ..supervisor.report import Boot, Loader
from .common import AbstractServer


class MPServer(AbstractServer):
    """Serves with processes, which run Python code at the same time."""

    def _launcher(self, spawn_target: Callable[..., None] | None) -> Callable[[Boot], WorkerHandle]:
        target = spawn_target or run_worker
        return lambda boot: ProcessHandle(boot, target)

    def _make_loader(self, loader: Loader | None) -> Loader | None:
        if not self.config.preload:
            return loader
        if multiprocessing.get_start_method() != "fork":
            raise ConfigurationError("preload", "needs workers that are forked")
        if self.config.reload:
            raise ConfigurationError("preload", "what is loaded once cannot be reloaded")
        before = set(threading.enumerate())
        loader = self._load_here(loader)
        started = sorted(thread.name for thread in set(threading.enumerate()) - before)
        if started:
            raise ConfigurationError("preload", f"a fork would lose the application's threads: {', '.join(started)}")
        # What is there now is left where it is, in memory that all workers share.
        gc.collect()
        gc.freeze()
        return loader


WorkerProcess = ProcessHandle

__all__ = ["MPServer", "WorkerProcess"]
