"""`--interface auto`: tells an application's interface by its type and its parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..constants import Interfaces
from ..log import logger


def detect(app: Any) -> Interfaces:
    """The interface of `app`. If it cannot be told, RSGI is assumed, with a line in the log."""
    found = _find(app)
    if found is None:
        logger.info("The interface of the application cannot be told, taking it for RSGI (see --interface)")
        return Interfaces.RSGI
    return found


def _find(app: Any, depth: int = 0) -> Interfaces | None:
    found = _by_attribute(app) or by_framework(app) or _by_signature(app)
    if found is None and depth < WRAPPERS:
        return next(filter(None, (_find(inner, depth + 1) for inner in _wrapped_by(app))), None)
    return found


def _wrapped_by(app: Any) -> list[Any]:
    """The applications that a wrapper such as `def wrapper(*args, **kwargs)` may hand on to."""
    cells = getattr(app, "__closure__", None) or ()
    contents = []
    for cell in cells:
        try:
            contents.append(cell.cell_contents)
        except ValueError:
            continue
    return [content for content in contents if callable(content)]


def _by_attribute(app: Any) -> Interfaces | None:
    return Interfaces.RSGI if hasattr(app, "__rsgi__") else None


def by_framework(app: Any) -> Interfaces | None:
    """The interface of the framework that the application is an object of."""
    for kind in type(app).__mro__:
        package = kind.__module__.partition(".")[0]
        found = FRAMEWORKS.get((package, kind.__name__))
        if found is not None:
            # falcon.App and falcon.asgi.App have one name.
            return Interfaces.ASGI if ".asgi" in kind.__module__ else found
    return None


def _by_signature(app: Any) -> Interfaces | None:
    function = function_of(app)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    names = [item.name for item in parameters if item.kind in POSITIONAL and item.default is item.empty]
    makes_coroutine = is_async(function)
    match len(names):
        case 3 if makes_coroutine or names == ["scope", "receive", "send"]:
            return Interfaces.ASGI
        case 2 if makes_coroutine:
            return Interfaces.RSGI
        case 2 if names == ["scope", "proto"] or names == ["scope", "protocol"]:
            return Interfaces.RSGI
        case 2:
            return Interfaces.WSGI
    return None


def function_of(app: Any) -> Callable[..., Any]:
    """The function behind the application: its own, or `__call__` of an instance."""
    # A partial has a signature of its own; `is_async` looks at its function.
    direct = isinstance(app, functools.partial) or inspect.isroutine(app) or inspect.isclass(app)
    function: Callable[..., Any] = app if direct or not callable(app) else app.__call__
    return function


def is_async(function: Any) -> bool:
    """Whether to call it gives a coroutine."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = getattr(function, "__call__", function)  # noqa: B004
    return inspect.iscoroutinefunction(inspect.unwrap(function))


WRAPPERS = 4
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
FRAMEWORKS = {
    ("starlette", "Starlette"): Interfaces.ASGI,
    ("fastapi", "FastAPI"): Interfaces.ASGI,
    ("litestar", "Litestar"): Interfaces.ASGI,
    ("quart", "Quart"): Interfaces.ASGI,
    ("django", "ASGIHandler"): Interfaces.ASGI,
    ("falcon", "App"): Interfaces.WSGI,
    ("flask", "Flask"): Interfaces.WSGI,
    ("django", "WSGIHandler"): Interfaces.WSGI,
}
