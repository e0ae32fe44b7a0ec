"""The server whose workers are processes."""

from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ..config import Config
from ..errors import ConfigurationError
from ..supervisor.handle import WorkerHandle
from ..supervisor.process import ProcessHandle, start_method
from ..worker.child import run_worker
from ..worker.spec import Loader, WorkerSpec
from .common import AbstractServer


class MPServer(AbstractServer):
    """Serves with processes, which run Python code at the same time."""

    def _check(self) -> None:
        # Before an application is loaded here, which may set another one.
        self._method = "fork" if self._forks_for_preload() else start_method()
        if self.config.preload and self._method != "fork":
            raise ConfigurationError("preload", "needs workers that are forked, and this system does not fork")
        if self.config.preload and self.config.reload:
            raise ConfigurationError("preload", "what is loaded once cannot be reloaded")

    def _launcher(self, spawn_target: Callable[..., None] | None) -> Callable[[WorkerSpec], WorkerHandle]:
        target = spawn_target or run_worker
        return lambda spec: ProcessHandle(spec, target, self._method)

    def _make_loader(self, loader: Loader | None) -> Loader | None:
        if self._method != "fork":
            self._check_passing(loader)
        if not self.config.preload:
            return loader
        before = set(threading.enumerate())
        loader = self._load_here(loader)
        started = sorted(thread.name for thread in set(threading.enumerate()) - before)
        if started:
            raise ConfigurationError("preload", f"a fork would lose the application's threads: {', '.join(started)}")
        # Objects that exist now stay in place, in memory that all workers share.
        gc.collect()
        gc.freeze()
        return loader

    def _forks_for_preload(self) -> bool:
        """An application that is loaded once reaches no worker by another method, whatever the program has set."""
        return self.config.preload and "fork" in multiprocessing.get_all_start_methods()

    def _check_passing(self, loader: Loader | None) -> None:
        """Refuses values that cannot be pickled, which workers that are not forked need."""
        values: dict[str, Any] = {field.name: getattr(self.config, field.name) for field in dataclasses.fields(Config)}
        # Workers do not get it.
        del values["reload_filter"]
        for name, value in {**values, "target_loader": loader}.items():
            try:
                ForkingPickler.dumps(value)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                raise ConfigurationError(name, f"cannot be passed to workers that are not forked ({error})") from None


WorkerProcess = ProcessHandle

__all__ = ["MPServer", "WorkerProcess"]
