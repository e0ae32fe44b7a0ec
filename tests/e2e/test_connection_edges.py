"""The number of connections one below, at and one above its limits, and the rate of uploads before and behind its time:
on each interface and protocol, with and without TLS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import pytest

from .carriers import CARRIERS, Carried, Client, carried, first_over
from .clock import Clock
from .conftest import ServerFactory
from .server import PLACED, TARGETS
from .tls import Files
from .websocket import UPGRADE, WebSocket
from .wire import DEADLINE, Incomplete, Wire

DEBUG = ("--log-level", "debug")
INTERFACES = {**TARGETS, "wsgi-default": ("wsgi_probe:app", "wsgi")}
BOTH = pytest.mark.parametrize(
    ("carrier", "interface"), [(carrier, interface) for carrier in CARRIERS for interface in INTERFACES]
)
UPLOAD = "/upload?by=call"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For a client whose handshake may have to wait."""
    with ThreadPoolExecutor(1) as made:
        yield made


def reached(app: Carried, option: str, since: int = 0) -> int:
    return sum(line.endswith(f"has reached the limit of {option}") for line in app.server.lines(since))


def come(app: Carried) -> Client:
    client = app.client()
    try:
        assert client.get("/") == 200
    except BaseException:
        client.close()
        raise
    return client


def come_when_there_is_room(app: Carried) -> Client:
    """The place of a connection is free a moment after the line of its end."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return come(app)
        except (Incomplete, OSError, AssertionError):
            if time.monotonic() > deadline:
                raise


def is_waiting(future: Future[Client]) -> bool:
    return not wait([future], 0.2).done


@BOTH
def test_connections(
    server: ServerFactory, files: Files, pool: ThreadPoolExecutor, carrier: str, interface: str
) -> None:
    limit = ("--max-connections", "3")
    app = carried(server, files, carrier, *INTERFACES[interface], *limit, *DEBUG, fresh=True)
    with ExitStack() as stack:
        clients: list[Client] = []
        for _ in range(3):
            clients.append(stack.enter_context(come(app)))
            assert [client.get("/") for client in clients] == [200] * len(clients), "all of them are kept"
        assert reached(app, limit[0]) == 0

        assert clients[0].get("/") == 200
        newcomer = pool.submit(come, app)
        idle = first_over(clients)
        # Each thread of `mt` asks the one of its own.
        assert idle is clients[1] or PLACED
        idle.close()
        clients.remove(idle)
        clients.append(stack.enter_context(newcomer.result()))
        assert [client.get("/") for client in clients] == [200] * 3
        app.server.wait_line(f"has reached the limit of {limit[0]}$")

        # None of those that are busy has to go.
        for client in clients:
            client.begin_upload(UPLOAD, 2)
        newcomer = pool.submit(come, app)
        assert is_waiting(newcomer)
        assert clients[0].end_upload(b"xx") == 200
        assert clients[0].is_over()
        clients[0].close()
        stack.enter_context(newcomer.result())
        assert [client.end_upload(b"xx") for client in clients[1:]] == [200, 200]
        assert reached(app, limit[0]) == 2


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_an_open_websocket_is_not_idle(server: ServerFactory, interface: str) -> None:
    app = server(f"ws_{interface}:app", TARGETS[interface][1], "--max-connections", "2", fresh=True)
    with app.connect() as wire, app.connect() as idle:
        for one in (wire, idle):
            # Not all of them answer other requests.
            assert one.request("GET", "/").response().status in (200, 500)
        response = wire.request("GET", "/", *UPGRADE).response()
        assert response.status == 101
        assert app.get("/").status in (200, 500)
        assert idle.rest() == b""
        websocket = WebSocket(wire, response)
        websocket.send("on")
        assert websocket.message() == "on"


@BOTH
def test_connections_of_a_client(server: ServerFactory, files: Files, carrier: str, interface: str) -> None:
    limit = ("--max-connections-per-client", "2")
    app = carried(server, files, carrier, *INTERFACES[interface], *limit, *DEBUG, fresh=True)
    with ExitStack() as stack:
        clients = [stack.enter_context(come(app)) for _ in range(2)]
        assert reached(app, limit[0]) == 0
        for count in (1, 2):
            mark = app.server.mark()
            assert is_turned_away(app)
            app.server.wait_line(f"has reached the limit of {limit[0]}$", mark)
            assert reached(app, limit[0]) == count
        with app.client(source="127.0.0.2") as other:
            assert other.get("/") == 200
        assert [client.get("/") for client in clients] == [200, 200]
        mark = app.server.mark()
        clients[0].close()
        app.server.wait_line(r"Connection from 127\.0\.0\.1:\d+ closed: ", mark)
        clients.append(stack.enter_context(come_when_there_is_room(app)))
        assert is_turned_away(app)
        assert [client.get("/") for client in clients[1:]] == [200, 200]


def is_turned_away(app: Carried) -> bool:
    """True for a connection that ends without a word, before a handshake."""
    with Wire(app.server.address) as wire:
        return wire.rest() == b""


@BOTH
def test_the_rate_of_uploads(server: ServerFactory, files: Files, tmp_path: Path, carrier: str, interface: str) -> None:
    """At ten bytes a second, a thousand bytes may take a hundred seconds and the first five."""
    limit = ("--request-body-min-rate", "10")
    clocks = ("--request-body-timeout", "1000", "--http2-idle-timeout", "1000", "--keep-alive-timeout", "1000")
    clock = Clock(tmp_path)
    options = (*INTERFACES[interface], *limit, *clocks, *DEBUG)
    app = carried(server, files, carrier, *options, env=clock.env, fresh=True)

    def pass_by(seconds: int) -> None:
        # The pieces that were sent before have been read, and the time is seen.
        for more in (0, seconds):
            clock.pass_by(more)
            for _ in range(2):
                assert app.status("GET", "/") == 200

    with app.client() as slow, app.client() as steady:
        for client in (slow, steady):
            client.begin_upload(UPLOAD, 3000)
            client.send(b"x" * 1000)
        pass_by(90)
        for client, size in ((slow, 100), (steady, 1000)):
            client.send(b"x" * size)
        pass_by(15)
        assert reached(app, limit[0]) == 0, "105 seconds, of which slow has 115"
        pass_by(25)
        assert slow.status() == 408
        pass_by(60)
        assert steady.end_upload(b"x" * 1000) == 200
        app.server.wait_line(f"has reached the limit of {limit[0]}$")
        assert reached(app, limit[0]) == 1
    told = [line for line in app.server.lines() if line.startswith("@upload ")]
    # One thread is given whole bodies only.
    assert len(told) == (1 if interface == "wsgi" else 2), told
