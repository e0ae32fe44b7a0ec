"""`check_fit()`: an application that cannot be served on its interface is told at the start, in one line.

Only what is certain is an error: a callable whose parameters cannot be read is given the benefit of the doubt.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from ..constants import Interfaces
from ..errors import FatalError
from ..log import logger
from .detect import by_framework, detect, function_of, is_async


def fitting_interface(app: Any, given: Interfaces, target: str) -> Interfaces:
    """The interface that was given, or that the application shows.

    An ASGI application under RSGI is served by its own interface, as guides for Litestar have it.

    # Errors
    `FatalError` as for `check_fit`.
    """
    interface = detect(app) if given == Interfaces.AUTO else Interfaces(given)
    if interface == Interfaces.RSGI and _speaks_asgi(app):
        logger.info("%s speaks ASGI and not RSGI: it is served by that interface", target)
        interface = Interfaces.ASGI
    check_fit(app, interface, target)
    return interface


def check_fit(app: Any, interface: Interfaces, target: str) -> None:
    """Checks the application that `target` has led to.

    # Errors
    `FatalError` with the fault and the way out.
    """
    served = getattr(app, "__rsgi__", app) if interface == Interfaces.RSGI else app
    _check_callable(served, target)
    _check_no_factory(served, target)
    found = by_framework(app)
    if found is None and not _takes(served, ARGUMENTS[interface]):
        found = _other(served, interface)
        if found is None:
            raise FatalError(f"{target} takes {_parameters(served)}, which is no interface of an application's")
    if found is None and interface == Interfaces.WSGI and is_async(served):
        found = Interfaces.RSGI
    if found is None and interface == Interfaces.RSGI and _names(served) == ["environ", "start_response"]:
        found = Interfaces.WSGI
    if found is not None and not _is_same(found, interface):
        raise FatalError(f"{target} speaks {found.upper()} and not {interface.upper()}: use --interface {found}")


def check_factory(factory: Any, target: str) -> None:
    """Checks what is to make the application, before it is called.

    # Errors
    `FatalError` as for `check_fit`.
    """
    _check_callable(factory, target)
    if not _takes(factory, 0):
        raise FatalError(f"{target} takes {_parameters(factory)}: a factory takes nothing, so leave --factory out")


def _speaks_asgi(app: Any) -> bool:
    if hasattr(app, "__rsgi__") or not callable(app):
        return False
    found = by_framework(app)
    return found == Interfaces.ASGI or (found is None and not _takes(app, 2) and _takes(app, 3))


def _check_callable(app: Any, target: str) -> None:
    if callable(app):
        return
    if isinstance(app, ModuleType):
        raise FatalError(f"{target} is a module: name the application in it, as in {app.__name__}:app")
    raise FatalError(f"{target} is {_described(app)}, which is no application: it cannot be called")


def _check_no_factory(app: Any, target: str) -> None:
    if not _takes(app, 0) or _takes(app, 2) or _takes(app, 3):
        return
    if inspect.isclass(app):
        raise FatalError(f"{target} is a class: name an application made of it, or add --factory to have one made")
    raise FatalError(f"{target} takes no arguments, as a factory does: add --factory to serve what it makes")


def _other(app: Any, interface: Interfaces) -> Interfaces | None:
    """The interface that the parameters fit instead."""
    if interface in (Interfaces.ASGI, Interfaces.ASGINL):
        if not _takes(app, 2):
            return None
        return Interfaces.RSGI if is_async(app) else Interfaces.WSGI
    return Interfaces.ASGI if _takes(app, 3) else None


def _is_same(found: Interfaces, interface: Interfaces) -> bool:
    return found == interface or (found == Interfaces.ASGI and interface == Interfaces.ASGINL)


def _takes(app: Any, count: int) -> bool:
    """Whether it may be called with so many arguments; true if that cannot be known."""
    signature = _signature(app)
    if signature is None:
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _signature(app: Any) -> inspect.Signature | None:
    """The parameters of the callable itself: what it wraps may be of another interface."""
    try:
        return inspect.signature(function_of(app), follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _names(app: Any) -> list[str]:
    signature = _signature(app)
    return [] if signature is None else list(signature.parameters)


def _parameters(app: Any) -> str:
    names = _names(app)
    return f"({', '.join(names)})" if names else "no arguments"


def _described(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


# Positional arguments of a call.
ARGUMENTS = {Interfaces.ASGI: 3, Interfaces.ASGINL: 3, Interfaces.RSGI: 2, Interfaces.WSGI: 2}
