"""`--interface auto` tells applications apart."""

from __future__ import annotations

import functools
import importlib
import logging

import pytest

from granian.constants import Interfaces
from granian.interfaces.detect import detect

ASGI, RSGI, WSGI = Interfaces.ASGI, Interfaces.RSGI, Interfaces.WSGI


async def asgi(scope, receive, send): ...
async def asgi_by_count(a, b, c): ...
def asgi_by_name(scope, receive, send): ...
async def asgi_with_more(scope, receive, send, extra=None): ...
async def rsgi(scope, proto): ...
async def rsgi_by_count(a, b): ...
def wsgi(environ, start_response): ...
def wsgi_by_count(a, b): ...
async def asgi_after_partial(config, scope, receive, send): ...
def wsgi_after_partial(config, environ, start_response): ...


@functools.wraps(asgi)
async def wrapped(*arguments): ...


class AsgiObject:
    async def __call__(self, scope, receive, send): ...


class WsgiObject:
    def __call__(self, environ, start_response): ...


class RsgiObject:
    async def __call__(self, scope, proto): ...


class RsgiMarked:
    def __rsgi__(self, scope, proto): ...
    async def __call__(self, scope, receive, send): ...


class WsgiClass:
    def __init__(self, environ, start_response): ...


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (asgi, ASGI),
        (asgi_by_count, ASGI),
        (asgi_by_name, ASGI),
        (asgi_with_more, ASGI),
        (wrapped, ASGI),
        (AsgiObject(), ASGI),
        (AsgiObject().__call__, ASGI),
        (functools.partial(asgi_after_partial, 1), ASGI),
        (rsgi, RSGI),
        (rsgi_by_count, RSGI),
        (RsgiObject(), RSGI),
        (RsgiMarked(), RSGI),
        (wsgi, WSGI),
        (wsgi_by_count, WSGI),
        (WsgiObject(), WSGI),
        (WsgiClass, WSGI),
        (functools.partial(wsgi_after_partial, 1), WSGI),
    ],
)
def test_signatures(app, interface, caplog):
    assert detect(app) is interface
    assert not caplog.records


FRAMEWORKS = {
    "fastapi:FastAPI": ASGI,
    "starlette.applications:Starlette": ASGI,
    "litestar:Litestar": ASGI,
    "quart:Quart": ASGI,
    "flask:Flask": WSGI,
    "falcon:App": WSGI,
    "falcon.asgi:App": ASGI,
}
NAMED = {"quart", "flask"}


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.filterwarnings("default")
def test_frameworks(name):
    module, _, attribute = name.partition(":")
    pytest.importorskip(module.partition(".")[0])
    kind = getattr(importlib.import_module(module), attribute)
    app = kind(__name__) if module in NAMED else kind()
    assert detect(app) is FRAMEWORKS[name]
    own = type("Own", (kind,), {})
    assert detect(own(__name__) if module in NAMED else own()) is FRAMEWORKS[name]


def test_django():
    pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    assert detect(ASGIHandler()) is ASGI
    assert detect(WSGIHandler()) is WSGI


@pytest.mark.parametrize("app", [lambda *arguments: None, lambda one: None, len, 7])
def test_what_cannot_be_told(app, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("_granian"), "propagate", True)
    with caplog.at_level(logging.INFO, "_granian"):
        assert detect(app) is RSGI
    assert [record.levelname for record in caplog.records] == ["INFO"]
