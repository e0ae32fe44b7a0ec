"""The server whose workers are threads of one process, for builds of Python without a GIL."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..errors import ConfigurationError, FatalError
from ..log import logger
from ..supervisor.handle import WorkerHandle
from ..supervisor.thread import ThreadHandle
from ..worker.spec import Loader, WorkerSpec
from .common import AbstractServer

WorkerThread = ThreadHandle


class MTServer(AbstractServer):
    """Serves with threads, which share the application."""

    WORKER_KIND = "thread"

    def _launcher(self, spawn_target: Callable[..., None] | None) -> Callable[[WorkerSpec], WorkerHandle]:
        if spawn_target is not None:
            raise ConfigurationError("spawn_target", "threads run nothing but workers")
        return ThreadHandle

    def _check(self) -> None:
        logger.warning("The server runs its workers as threads: this is experimental!")
        if self.config.reload:
            raise ConfigurationError("reload", "not available with threads as workers")
        if self.config.workers_max_rss is not None:
            raise ConfigurationError("workers_max_rss", "not available with threads as workers")
        if getattr(sys, "_is_gil_enabled", lambda: True)():
            logger.error("Cannot run workers as threads while the GIL is enabled")
            raise FatalError("gil")

    def _make_loader(self, loader: Loader | None) -> Loader | None:
        return self._load_here(loader)


__all__ = ["MTServer", "WorkerThread"]
