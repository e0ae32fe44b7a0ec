"""`Surface`: the attributes of every kind of server beside `serve()`: its options, and hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..config import Config
from .compat import former

Hook = TypeVar("Hook", bound=Callable[[], Any])


class Surface:
    """Hooks run in the process of the server itself, in the order in which they were given."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.hooks_startup: list[Callable[[], Any]] = []
        self.hooks_reload: list[Callable[[], Any]] = []
        self.hooks_shutdown: list[Callable[[], Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "config":
            raise AttributeError(name)
        return former(self.config, name)

    def on_startup(self, hook: Hook) -> Hook:
        """Runs `hook` before the application starts."""
        self.hooks_startup.append(hook)
        return hook

    def on_reload(self, hook: Hook) -> Hook:
        """Runs `hook` before the application is started anew, on request."""
        self.hooks_reload.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Runs `hook` after the application has ended, in whatever way."""
        self.hooks_shutdown.append(hook)
        return hook
