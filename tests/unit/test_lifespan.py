"""The lifespan protocol, from both its ends."""

from __future__ import annotations

import asyncio
import logging

import pytest

from granian.constants import Interfaces
from granian.errors import FatalError
from granian.interfaces import LifespanProtocol, RSGILifespan, WSGILifespan, lifespan_of
from granian.start_errors import describe


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("_granian"), "propagate", True)
    caplog.set_level(logging.DEBUG, "_granian")
    return caplog


def test_whole_life(loop, log):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], scope["asgi"]["version"]))
        seen.append(await receive())
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete"})
        seen.append(await receive())
        seen.append(dict(scope["state"]))
        await send({"type": "lifespan.shutdown.complete"})
        seen.append("after")

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    assert lifespan.state == {"pool": "open"}
    lifespan.shutdown(loop)
    assert seen == [
        ("lifespan", "3.0"),
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
        {"pool": "open"},
        "after",
    ]
    assert not log.records


@pytest.mark.parametrize("message", [{}, {"message": "no database"}])
def test_startup_failed(loop, log, message):
    async def app(scope, receive, send):
        await send({"type": "lifespan.startup.failed", **message})

    with pytest.raises(FatalError) as raised:
        LifespanProtocol(app).startup(loop)
    assert describe(raised.value) == "ASGI lifespan startup failed"
    assert [record.message for record in log.records] == list(message.values())


def test_startup_failed_and_raised(loop, log):
    async def app(scope, receive, send):
        await send({"type": "lifespan.startup.failed", "message": "no"})
        raise ValueError("why")

    with pytest.raises(FatalError) as raised:
        LifespanProtocol(app).startup(loop)
    assert log.messages == ["no"]
    first, second, file, *_ = describe(raised.value).splitlines()
    assert (first, second) == ("ASGI lifespan startup failed", "Traceback (most recent call last):")
    assert __file__ in file
    assert describe(raised.value).endswith("ValueError: why")


def test_unsupported(loop, log):
    """Every Django project printed a traceback per worker and start."""

    async def app(scope, receive, send):
        raise ValueError("only\nhttp here")

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    lifespan.shutdown(loop)
    assert [record.levelname for record in log.records] == ["DEBUG"]
    assert log.messages == ["The application has no ASGI lifespan (ValueError: only http here)"]
    assert log.records[0].exc_info is None


@pytest.mark.parametrize("reads", [False, True])
def test_every_scope_is_taken_for_a_request(loop, log, reads):
    async def app(scope, receive, send):
        if reads:
            await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    lifespan.shutdown(loop)
    assert [record.levelname for record in log.records] == ["DEBUG"]


@pytest.mark.parametrize("first", ["receive", "send"])
def test_startup_that_breaks(loop, log, first):
    """Who has begun to speak the protocol has a fault, and it is shown."""

    async def app(scope, receive, send):
        if first == "receive":
            await receive()
        else:
            await send({"type": "lifespan.nonsense"})
        raise ValueError("broke")

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    lifespan.shutdown(loop)
    assert [record.levelname for record in log.records] == ["WARNING"]
    assert "continuing without Lifespan support" in log.text
    assert "Traceback" in log.text


def test_silent_return(loop, log):
    async def app(scope, receive, send):
        return

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    lifespan.shutdown(loop)
    assert not log.records


def test_unexpected_message(loop, log):
    async def app(scope, receive, send):
        await send({"type": "lifespan.shutdown.complete"})

    LifespanProtocol(app).startup(loop)
    assert "is not expected while starting" in log.text


def test_error_while_serving(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(0)
        raise ValueError("later")

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    loop.run_until_complete(asyncio.sleep(0.01))
    lifespan.shutdown(loop)
    assert "later" in log.text


def test_shutdown_failed(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "cannot close"})

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    lifespan.shutdown(loop)
    assert "cannot close" in log.text


def test_shutdown_failed_and_raised(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "cannot close"})
        raise ValueError("why")

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    lifespan.shutdown(loop)
    assert log.messages == ["cannot close"]
    assert "ValueError: why" in log.text


def test_cancelled_startup_ends_the_application(loop):
    seen = []

    async def app(scope, receive, send):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            seen.append("closed")

    with pytest.raises(asyncio.TimeoutError):
        loop.run_until_complete(asyncio.wait_for(LifespanProtocol(app).wait_startup(), 0.01))
    assert seen == ["closed"]


def test_cancelled_shutdown_ends_the_application(loop):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("closed")

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    with pytest.raises(asyncio.TimeoutError):
        loop.run_until_complete(asyncio.wait_for(lifespan.wait_shutdown(), 0.01))
    assert seen == ["closed"]


def test_shutdown_that_never_ends(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(60)

    lifespan = LifespanProtocol(app)
    lifespan.startup(loop)
    lifespan.shutdown(loop, 0.05)
    assert "did not end in time" in log.text


def test_exit_at_startup(loop):
    async def app(scope, receive, send):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        LifespanProtocol(app).startup(loop)


class Rsgi:
    def __init__(self) -> None:
        self.seen = []

    def __rsgi_init__(self, loop):
        self.seen.append(("init", loop.is_running()))

    def __rsgi_del__(self, loop):
        self.seen.append(("del", loop.is_running()))


def test_rsgi(loop):
    app = Rsgi()
    lifespan = lifespan_of(app, Interfaces.RSGI)
    lifespan.startup(loop)
    lifespan.shutdown(loop, 1)
    assert app.seen == [("init", False), ("del", False)]


def test_rsgi_without_callbacks(loop):
    lifespan = RSGILifespan(object())
    lifespan.startup(loop)
    lifespan.shutdown(loop)


@pytest.mark.parametrize("interface", [Interfaces.WSGI, Interfaces.ASGINL])
def test_no_lifespan(loop, interface):
    lifespan = lifespan_of(Rsgi(), interface)
    assert isinstance(lifespan, WSGILifespan)
    assert lifespan.state is None
    lifespan.startup(loop)
    lifespan.shutdown(loop)
