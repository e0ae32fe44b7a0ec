"""Applications that cannot be served on their interface, and the line that says so."""

from __future__ import annotations

import functools
import sys

import pytest

from granian.constants import Interfaces
from granian.errors import FatalError
from granian.interfaces.fit import check_factory, check_fit, fitting_interface

ASGI, ASGINL, RSGI, WSGI = Interfaces.ASGI, Interfaces.ASGINL, Interfaces.RSGI, Interfaces.WSGI


async def asgi(scope, receive, send): ...
def plain_asgi(scope, receive, send): ...
async def rsgi(scope, proto): ...
def plain_rsgi(scope, proto): ...
def wsgi(environ, start_response): ...
def two(a, b): ...
def anything(*arguments): ...
def make(): ...
def make_with(config=None): ...
def one(scope): ...


class Own:
    def __init__(self): ...

    def __rsgi__(self, scope, proto): ...

    async def __call__(self, scope, receive, send): ...


class WsgiClass:
    def __init__(self, environ, start_response): ...


@functools.wraps(wsgi)
async def adapted(scope, receive, send): ...


@pytest.mark.parametrize(
    ("app", "interfaces"),
    [
        (asgi, [ASGI, ASGINL]),
        (plain_asgi, [ASGI]),
        (adapted, [ASGI]),
        (rsgi, [RSGI]),
        (plain_rsgi, [RSGI]),
        (wsgi, [WSGI]),
        (two, [RSGI, WSGI]),
        (anything, [ASGI, RSGI, WSGI]),
        (Own(), [ASGI, RSGI]),
        (WsgiClass, [WSGI]),
        (functools.partial(asgi), [ASGI]),
    ],
)
def test_fitting(app, interfaces):
    for interface in interfaces:
        check_fit(app, interface, "main:app")


@pytest.mark.parametrize(
    ("app", "interface", "line"),
    [
        (asgi, WSGI, "main:app speaks ASGI and not WSGI: use --interface asgi"),
        (asgi, RSGI, "main:app speaks ASGI and not RSGI: use --interface asgi"),
        (rsgi, ASGI, "main:app speaks RSGI and not ASGI: use --interface rsgi"),
        (rsgi, WSGI, "main:app speaks RSGI and not WSGI: use --interface rsgi"),
        (wsgi, ASGINL, "main:app speaks WSGI and not ASGINL: use --interface wsgi"),
        (wsgi, RSGI, "main:app speaks WSGI and not RSGI: use --interface wsgi"),
        (one, ASGI, "main:app takes (scope), which is no interface of an application's"),
        (make, ASGI, "main:app takes no arguments, as a factory does: add --factory to serve what it makes"),
        (make_with, WSGI, "main:app takes no arguments, as a factory does: add --factory to serve what it makes"),
        (Own, ASGI, "main:app is a class: name an application made of it, or add --factory to have one made"),
        (7, ASGI, "main:app is an object of type int, which is no application: it cannot be called"),
        (None, RSGI, "main:app is None, which is no application: it cannot be called"),
        (sys, WSGI, "main:app is a module: name the application in it, as in sys:app"),
    ],
)
def test_not_fitting(app, interface, line):
    with pytest.raises(FatalError) as caught:
        check_fit(app, interface, "main:app")
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("app", "interface"), [(asgi, ASGI), (functools.partial(asgi), ASGI), (rsgi, RSGI), (anything, RSGI), (Own(), RSGI)]
)
def test_asgi_under_rsgi(app, interface):
    assert fitting_interface(app, RSGI, "main:app") == interface


def test_wsgi_under_rsgi_is_refused():
    with pytest.raises(FatalError, match="speaks WSGI and not RSGI"):
        fitting_interface(wsgi, RSGI, "main:app")


FRAMEWORKS = {"fastapi:FastAPI": ASGI, "litestar:Litestar": ASGI, "flask:Flask": WSGI, "falcon:App": WSGI}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_frameworks(name):
    module = pytest.importorskip(name.partition(":")[0])
    kind = getattr(module, name.partition(":")[2])
    app = kind(__name__) if "Flask" in name else kind()
    for interface in (ASGI, ASGINL, RSGI, WSGI):
        if interface == FRAMEWORKS[name] or (interface, FRAMEWORKS[name]) == (ASGINL, ASGI):
            check_fit(app, interface, "main:app")
        else:
            with pytest.raises(FatalError, match=f"use --interface {FRAMEWORKS[name]}"):
                check_fit(app, interface, "main:app")


def test_factories():
    check_factory(make, "main:make")
    check_factory(make_with, "main:make")
    for app in (asgi, wsgi, Own()):
        with pytest.raises(FatalError, match="leave --factory out"):
            check_factory(app, "main:app")
