"""`Plan`: the values that every worker of a crew is started with, and the start of one."""

from __future__ import annotations

import dataclasses
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..config import Config
from ..metrics import Ledger, Page
from ..sockets import Listeners
from ..worker.spec import Loader, WorkerSpec
from .handle import WorkerHandle
from .slot import Slot


@dataclass(frozen=True)
class Plan:
    """See the module's documentation."""

    config: Config
    listeners: Listeners
    launch: Callable[[WorkerSpec], WorkerHandle]
    drain_timeout: float
    title: str | None = None
    loader: Loader | None = None
    # Where the numbers of workers are kept, if somebody reads them.
    ledger: Ledger | None = None
    # The status listener's sockets, which are the supervisor's to close.
    status: Sequence[socket.socket] = ()

    def start(self, slot: Slot, environment: dict[str, str]) -> WorkerHandle:
        """Starts a worker for the slot.

        # Errors
        `OSError` if the system has no process or no memory for it.
        """
        page = self.ledger.open() if self.ledger is not None else None
        try:
            worker = self.launch(self._spec(slot, environment, page))
        except BaseException:
            if page is not None:
                page.close()
            raise
        if self.ledger is not None and page is not None:
            self.ledger.add(worker, page, slot.cause)
        return worker

    def forget(self, worker: WorkerHandle) -> None:
        """`worker` has ended."""
        if self.ledger is not None:
            self.ledger.remove(worker)

    def _spec(self, slot: Slot, environment: dict[str, str], page: Page | None) -> WorkerSpec:
        config = self.config
        jitter = random.randint(0, config.max_requests_jitter or 0)
        return WorkerSpec(
            number=slot.number,
            # The supervisor's alone, and a class that cannot be pickled if a plugin has made it in a function.
            config=dataclasses.replace(config, reload_filter=None) if config.reload_filter else config,
            drain_timeout=self.drain_timeout,
            sockets=self.listeners.sockets(slot.number - 1),
            roles=self.listeners.roles(config.ssl_redirect_to_port),
            title=f"{self.title} {slot.name}" if self.title else None,
            request_limit=config.max_requests + jitter if config.max_requests else None,
            environment=environment,
            loader=self.loader,
            page=page,
        )
