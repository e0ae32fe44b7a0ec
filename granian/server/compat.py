"""Names of granian 2 that programs read and set on a server, beside the options.

Each leads to the server's own name for the same thing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Config
    from ..supervisor.core import Supervisor
    from ..supervisor.handle import WorkerHandle


class LoopInterrupt(threading.Event):
    """An event; to set it makes the server act on its flags."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    def set(self) -> None:
        super().set()
        self._look()


class FormerNames:
    """Mixed into every server."""

    config: Config
    _supervisor: Supervisor | None
    stop: Callable[[], None]
    reload: Callable[[], None]

    def __init__(self) -> None:
        self.interrupt_signal = False
        self.reload_signal = False
        # `reload_signal` has asked for the next reload.
        self.is_reload_flagged = False
        # Without effect: the supervisor plans replacements.
        self.lifetime_signal = False
        self.rss_signal = False
        self.interrupt_children: list[int] = []
        self.main_loop_interrupt = LoopInterrupt(self._act_on_flags)

    @property
    def wrks(self) -> list[WorkerHandle]:
        """The workers, those that start or leave included."""
        return [] if self._supervisor is None else self._supervisor.crew.workers()

    @property
    def static_path(self) -> tuple[list[tuple[str, Path]], str | None, str | None] | None:
        """Routes and their directories, the file that stands for a directory, the time that clients keep files."""
        config = self.config
        if not config.static_path_mount:
            return None
        routes = config.static_path_route or ("/static",)
        expires = str(int(config.static_path_expires)) if config.static_path_expires else None
        return list(zip(routes, config.static_path_mount, strict=True)), config.static_path_dir_to_file, expires

    def _act_on_flags(self) -> None:
        self.main_loop_interrupt.clear()
        if self._supervisor is None:
            return
        if self.interrupt_signal:
            self.stop()
        elif self.reload_signal:
            self.reload_signal = False
            self.is_reload_flagged = True
            self.reload()


# Former names of options, and options whose value is computed from others.
FORMER_OPTIONS: dict[str, str] = {
    "bind_addr": "address",
    "bind_port": "port",
    "bind_uds": "uds",
    "log_config": "log_dictconfig",
    "reload_on_changes": "reload",
    "backpressure": "backpressure_effective",
    "blocking_threads": "blocking_threads_effective",
    "runtime_blocking_threads": "runtime_blocking_threads_effective",
}


def former(config: Config, name: str) -> Any:
    """The option of this present or former name."""
    return getattr(config, FORMER_OPTIONS.get(name, name))
