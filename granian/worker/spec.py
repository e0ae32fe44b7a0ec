"""`WorkerSpec`: the values that a worker is started with."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from ..config import Config
from ..metrics.page import Page
from ..sockets import Roles
from .tie import Tie


@dataclass(frozen=True)
class Loader:
    """The function that gives a worker its application, in place of the target."""

    function: Callable[..., Any]
    with_target: bool

    def load(self, target: str) -> Any:
        return self.function(target) if self.with_target else self.function()


@dataclass(frozen=True)
class WorkerSpec:
    """All of it; sent to the worker's process."""

    number: int
    config: Config
    drain_timeout: float
    # The listening sockets, by their number in the service.
    sockets: dict[int, socket.socket]
    title: str | None = None
    # After so many requests it reports itself spent.
    request_limit: int | None = None
    # From environment files, for workers that do not inherit the supervisor's variables.
    environment: dict[str, str] = field(default_factory=dict)
    loader: Loader | None = None
    roles: Roles = field(default_factory=Roles)
    tie: Tie = field(default_factory=Tie)
    # The method that the program has set for its own processes; None leaves that to the application.
    start_method: str | None = None
    # The supervisor's standard input, if the worker is to have it.
    stdin: Connection | None = None
    # Where its numbers go, if somebody reads them.
    page: Page | None = None
