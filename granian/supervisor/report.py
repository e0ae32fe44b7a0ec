"""What a worker and its supervisor tell each other over their pipe."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..config import Config
from ..sockets import NO_REDIRECTS, Redirects


class Report(Enum):
    """From a worker; each comes with a text or None."""

    BOOTING = "booting"
    READY = "ready"
    BEAT = "beat"
    # It has served as many requests as it should.
    SPENT = "spent"
    # It accepts nothing any more; the text says why, if it has not been told to.
    DRAINING = "draining"
    # It could not start; the text is for the log.
    FAILED = "failed"
    GONE = "gone"


class Command(Enum):
    """From the supervisor; each comes with a value or None."""

    # Accept on one more socket: its number, and its descriptor, or None if that follows.
    LISTEN = "listen"
    # Leave the socket of this number to others.
    UNLISTEN = "unlisten"
    # Read certificates and keys anew.
    RELOAD_TLS = "reload_tls"
    # Another worker is there in this one's place; comes before the stop.
    REPLACED = "replaced"
    # For workers that no signal can be sent to.
    STOP = "stop"
    # Drain no longer: what still runs is cancelled.
    CANCEL = "cancel"


@dataclass(frozen=True)
class Loader:
    """How a worker gets the application, if not by the target."""

    function: Callable[..., Any]
    with_target: bool

    def load(self, target: str) -> Any:
        return self.function(target) if self.with_target else self.function()


@dataclass(frozen=True)
class Boot:
    """All that a worker is started with."""

    number: int
    config: Config
    drain_timeout: float
    # By their number among all of the service's.
    sockets: dict[int, socket.socket]
    title: str | None = None
    # After so many requests it reports itself spent.
    request_limit: int | None = None
    # From environment files, for workers that do not inherit the supervisor's variables.
    environment: dict[str, str] = field(default_factory=dict)
    loader: Loader | None = None
    redirects: Redirects = NO_REDIRECTS
    supervisor: int = 0
