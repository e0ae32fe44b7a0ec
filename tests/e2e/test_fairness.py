"""One client or one request does not slow the others down."""

from __future__ import annotations

import threading
import time

import pytest

from .websocket import frame, open_websocket
from .wire import DEADLINE, Wire, request_bytes

BINARY = 2


def drain(wire: Wire) -> None:
    try:
        while wire.socket.recv(1 << 20):
            pass
    except OSError:
        pass


@pytest.mark.alone
def test_a_flood_of_messages_holds_nobody_up(server, loop):
    app = server("fairness:app", "asginl", loop=loop)
    with open_websocket(app) as flooding, app.connect() as other:
        threading.Thread(target=drain, args=(flooding.wire,), daemon=True).start()
        flood, until = frame(BINARY, b"x" * 64) * 4000, time.monotonic() + 2
        sender = threading.Thread(target=lambda: send_until(flooding.wire, flood, until), daemon=True)
        sender.start()
        longest = 0.0
        while time.monotonic() < until:
            begin = time.monotonic()
            assert other.request("GET", "/").response().status == 200
            longest = max(longest, time.monotonic() - begin)
        sender.join()
    assert longest < 0.5


def send_until(wire: Wire, data: bytes, until: float) -> None:
    while time.monotonic() < until:
        wire.socket.sendall(data)


def test_context_of_a_task_is_its_own(server, loop):
    app = server("fairness:app", "asginl", loop=loop)
    with open_websocket(app) as websocket, app.connect() as other:
        threading.Thread(target=drain, args=(websocket.wire,), daemon=True).start()
        for _ in range(300):
            websocket.wire.socket.sendall(frame(BINARY, b"x" * 64) * 20)
            assert other.request("GET", "/").response().body == b"none"


def test_context_of_a_callable_that_is_no_coroutine_function(server, loop):
    app = server("fairness:plain", "asginl", loop=loop)
    for path in ("/a", "/b", "/c"):
        assert app.get(path).body == f"none {path}".encode()


def test_messages_are_read_while_nobody_reads_ours(server, loop):
    app = server("fairness:app", "asginl", loop=loop)
    mark = app.mark()
    with open_websocket(app, "/duplex") as websocket:
        websocket.wire.socket.settimeout(10)
        data = frame(BINARY, b"u" * 60_000) * 20
        for _ in range(50_000_000 // (60_000 * 20) + 1):
            websocket.wire.socket.sendall(data)
        app.wait_line("@taken", mark)


def test_a_blocked_loop_is_not_the_idle_clients_fault(server, loop):
    app = server("fairness:app", "asginl", "--keep-alive-timeout", "1", loop=loop)
    with app.connect() as idle, app.connect() as blocking:
        assert idle.request("GET", "/").response().status == 200
        # Its second is over while the loop is blocked, and its request there in time.
        blocking.request("GET", "/block")
        idle.request("GET", "/")
        assert idle.response().status == 200
        assert blocking.response().status == 200
        assert idle.request("GET", "/").response().status == 200


@pytest.mark.alone
@pytest.mark.parametrize("size", [1_000, 17_000, 20_000, 40_000])
def test_a_piece_leaves_while_the_next_is_made(server, size):
    app = server("fairness:pieces", "wsgi", "--blocking-threads", "1")
    with app.connect() as wire:
        begin = time.monotonic()
        wire.request("GET", f"/?{size}", "Connection: close").head()
        received = wire.buffer.count(b"a")
        while received < size:
            received += wire.socket.recv(65536).count(b"a")
        assert time.monotonic() - begin < 0.8
        assert wire.rest().endswith(b"b\r\n0\r\n\r\n")


def test_a_response_does_not_wait_for_the_request_behind_it(server, loop):
    """Not even when other connections are ready, whose responses it could leave with."""
    app = server("fairness:app", "asginl", loop=loop)
    wires = [app.connect() for _ in range(8)]
    for wire in wires:
        assert wire.request("GET", "/").response().status == 200
    blocking, pipelining, *others = wires
    blocking.request("GET", "/block")
    pipelining.send(request_bytes("GET", "/") + request_bytes("GET", "/block"))
    for wire in others:
        wire.request("GET", "/")
    assert pipelining.response().status == 200
    first = time.monotonic()
    assert pipelining.response().status == 200
    assert time.monotonic() - first > 0.5
    for wire in wires:
        wire.close()


def test_those_that_last_keep_nobody_from_beginning(server, loop):
    """A busy process finishes what it has begun before it begins more; but these wait for one that has not begun."""
    app = server("fairness:crowd", "asginl", loop=loop, fresh=True)
    assert app.get("/work").status == 200
    wires = [app.connect() for _ in range(100)]
    for wire in wires:
        wire.request("GET", "/last")
    end = time.monotonic() + DEADLINE
    while int(app.get("/").body) < len(wires):
        assert time.monotonic() < end
    assert app.get("/leave").status == 200
    for wire in wires:
        assert wire.response().status == 200
