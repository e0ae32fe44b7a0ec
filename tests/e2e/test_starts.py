"""A new request starts at once while no other one waits for anything but its client, else behind the Python code that
is ready: a task that was woken for something that requests share finds it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from .h2wire import H2Wire
from .server import PLACEMENT, Server
from .websocket import open_websocket
from .wire import request_bytes

BEHIND, BEFORE = "ready new", "new ready"
# Orders of a request that starts at once, where CPython can. In mt it crosses threads first, which may take longer.
AT_ONCE = {BEFORE} if sys.version_info >= (3, 12) else {BEHIND}
if PLACEMENT == "mt":
    AT_ONCE.add(BEHIND)
# Times that a new future may miss the memory of an old one: CPython 3.14 gives about half of them to something else.
ATTEMPTS = 40


@pytest.fixture(params=["asgi", "rsgi"])
def app(request, server, loop) -> Server:
    interface = {"asgi": "asginl", "rsgi": "rsgi"}[request.param]
    return server(f"starts:{request.param}", interface, loop=loop)


@pytest.fixture(params=["http1", "http2"])
def send(request, app) -> Iterator[Callable[[str], Callable[[], object]]]:
    """Sends a request on an open connection, and gives a function that waits for the answer."""
    if request.param == "http1":
        with app.connect() as wire:
            assert wire.request("GET", "/").response().status == 200
            yield lambda target: wire.request("GET", target).response
    else:
        with H2Wire(app.address) as wire:
            assert wire.request("GET", "/").status == 200

            def start(target: str) -> Callable[[], object]:
                number = wire.start("GET", target)
                return lambda: wire.answer(number)

            yield start


def order(app: Server) -> str:
    return app.get("/order").text


def start_beside_ready(app: Server, send, gate: Path) -> str:
    """The order of a new request and of a callback that was planned just before the loop sees it."""
    mark = app.mark()
    gate.unlink(missing_ok=True)
    with app.connect() as blocking:
        blocking.request("GET", f"/block?gate={quote(str(gate))}")
        app.wait_line("@working", mark)
        answer = send("/?name=new")
        gate.touch()
        answer()
        assert blocking.response().status == 200
    return order(app)


def test_a_request_starts_at_once_while_nobody_waits(app, send, tmp_path):
    assert start_beside_ready(app, send, tmp_path / "gate") in AT_ONCE


@contextmanager
def uploading(app: Server) -> Iterator[None]:
    with app.connect() as wire:
        request = request_bytes("POST", "/read", body=b"x" * 200_000)
        wire.send(request[:-1])
        yield
        assert wire.send(request[-1:]).response().status == 200


@contextmanager
def idle_websocket(app: Server) -> Iterator[None]:
    with open_websocket(app):
        yield


@pytest.mark.parametrize("client", [uploading, idle_websocket])
def test_a_request_starts_at_once_while_others_wait_for_their_clients(app, send, client, tmp_path):
    mark = app.mark()
    with client(app):
        app.wait_line("@reading", mark)
        # The task that waits for its client has told of it before it did.
        assert app.get("/").status == 200
        assert start_beside_ready(app, send, tmp_path / "gate") in AT_ONCE


def test_a_request_starts_at_once_while_another_one_only_gives_way(app, send, tmp_path):
    mark = app.mark()
    with app.connect() as yielding:
        yielding.request("GET", "/yield")
        app.wait_line("@yielding", mark)
        assert start_beside_ready(app, send, tmp_path / "gate") in AT_ONCE
        assert app.get("/open").status == 200
        assert yielding.response().status == 200


def test_a_request_starts_behind_ready_code_while_another_one_waits(app, send, tmp_path):
    mark = app.mark()
    with app.connect() as waiting:
        waiting.request("GET", "/wait")
        app.wait_line("@waiting", mark)
        assert start_beside_ready(app, send, tmp_path / "gate") == BEHIND
        assert app.get("/open").status == 200
        assert waiting.response().status == 200
    assert start_beside_ready(app, send, tmp_path / "gate") in AT_ONCE


def test_a_future_at_the_address_of_a_clients_is_none(app, send, tmp_path):
    for _ in range(ATTEMPTS):
        mark = app.mark()
        with app.connect() as waiting:
            request = request_bytes("POST", "/child", body=b"x" * 200_000)
            waiting.send(request[:-1])
            app.wait_line("@reading", mark)
            # The task that waits for its client has told of it before it did.
            assert app.get("/").status == 200
            waiting.send(request[-1:])
            is_there = app.note("waiting", mark)
            if is_there:
                assert start_beside_ready(app, send, tmp_path / "gate") == BEHIND
                assert app.get("/resolve").status == 200
            assert waiting.response().status == 200
        if is_there:
            return
    pytest.fail(f"no future was at the address of the one before in {ATTEMPTS} attempts")


def test_a_token_goes_to_the_request_that_waits_for_it(app, send, tmp_path):
    mark, gate = app.mark(), tmp_path / "gate"
    with app.connect() as holding, app.connect() as waiting:
        holding.request("GET", f"/hold?gate={quote(str(gate))}")
        app.wait_line("@holding", mark)
        waiting.request("GET", "/take?name=waiting")
        app.wait_line("@working", mark)
        answer = send("/take?name=new")
        gate.touch()
        answer()
        assert holding.response().status == waiting.response().status == 200
    assert order(app) == "waiting new"
