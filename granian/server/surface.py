"""`Surface`: the attributes of every kind of server beside `serve()`: its options, and hooks."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, TypeVar

from ..config import Config
from .compat import former

Hook = TypeVar("Hook", bound=Callable[[], Any])


def show_signature(
    kind: type[Any], positional: tuple[str, ...], has: Callable[[str], bool], **defaults: object
) -> None:
    """Gives the constructor the signature that `help()` and editors show: the options, in their order.

    `defaults` are those that differ from the options' own.
    """
    parameters = [inspect.Parameter("self", Parameter.POSITIONAL_ONLY)]
    parameters.append(inspect.Parameter("target", Parameter.POSITIONAL_OR_KEYWORD))
    fields = {field.name: field for field in dataclasses.fields(Config) if field.init and "_seed" not in field.name}
    fields.pop("target")
    named = [name for name in fields if name not in positional and has(name)]
    for names, how in (positional, Parameter.POSITIONAL_OR_KEYWORD), (named, Parameter.KEYWORD_ONLY):
        for name in names:
            field = fields[name]
            # A group of its own defaults is made for `None`.
            is_made = field.default is dataclasses.MISSING
            default = defaults.get(name, None if is_made else field.default)
            kind_of = f"{field.type} | None" if is_made else field.type
            parameters.append(Parameter(name, how, default=default, annotation=kind_of))
    vars(kind)["__init__"].__signature__ = inspect.Signature(parameters, return_annotation=None)


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
