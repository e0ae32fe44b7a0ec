"""Event loops by name, and the registry that applications add their own to."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, TypeVar

Builder = Callable[..., Any]
AnyBuilder = TypeVar("AnyBuilder", bound=Builder)


class Registry:
    """Values by key."""

    def __init__(self) -> None:
        self._items: dict[str, Any] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def keys(self) -> list[str]:
        """Every key, in the order of registration."""
        return list(self._items)

    def register(self, key: str) -> Callable[[AnyBuilder], AnyBuilder]:
        """Registers what is decorated; one registered before under `key` is replaced."""

        def wrap(item: AnyBuilder) -> AnyBuilder:
            self._items[key] = item
            return item

        return wrap

    def get(self, key: str) -> Any:
        """The value of `key`; `RuntimeError` if there is none."""
        try:
            return self._items[key]
        except KeyError:
            raise RuntimeError(f"'{key}' implementation not available.") from None


class BuilderRegistry(Registry):
    """Functions by key; what they build is what one gets."""

    def register(self, key: str, packages: Iterable[str] | None = None) -> Callable[[AnyBuilder], AnyBuilder]:
        """Registers a builder that gets each of `packages` as a keyword argument.

        If one of them can't be imported the builder is left out.
        """
        modules: dict[str, ModuleType] = {}
        available = True
        for package in packages or ():
            try:
                modules[package] = importlib.import_module(package)
            except ImportError:
                available = False

        def wrap(builder: AnyBuilder) -> AnyBuilder:
            if available:
                self._items[key] = (builder, modules)
            return builder

        return wrap

    def get(self, key: str) -> Any:
        """Builds with the builder of `key`; `RuntimeError` if there is none."""
        builder, modules = super().get(str(key))
        return builder(**modules)


loops = BuilderRegistry()


@loops.register("asyncio")
def build_asyncio_loop() -> asyncio.AbstractEventLoop:
    """asyncio's own loop."""
    return _current(asyncio.new_event_loop())


@loops.register("rloop", packages=["rloop"])
def build_rloop(rloop: Any) -> asyncio.AbstractEventLoop:
    """rloop's loop."""
    return _current(rloop.new_event_loop())


@loops.register("uvloop", packages=["uvloop"])
def build_uvloop(uvloop: Any) -> asyncio.AbstractEventLoop:
    """uvloop's loop."""
    return _current(uvloop.new_event_loop())


@loops.register("auto")
def build_auto_loop() -> asyncio.AbstractEventLoop:
    """The first of the loops that is installed."""
    loop: asyncio.AbstractEventLoop = loops.get(auto_loop())
    return loop


def auto_loop() -> str:
    """The name of the loop that `auto` stands for here."""
    return next((key for key in ("rloop", "uvloop") if key in loops), "asyncio")


def close_active_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Closes the loop, which is the current one of this thread no longer."""
    loop.close()
    asyncio.set_event_loop(None)


def _current(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    asyncio.set_event_loop(loop)
    return loop
