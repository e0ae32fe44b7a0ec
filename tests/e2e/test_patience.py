"""Timeouts that must not strike whoever is merely slow, with a clock that is put forward instead of waiting."""

from __future__ import annotations

import os
import select
import ssl
import time
from pathlib import Path

import pytest

from .clock import Clock
from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server, script
from .tls import Files, TlsWire, context
from .websocket import BINARY, FIN, PING, PONG, WebSocket, frame, open_websocket
from .wire import DEADLINE, Wire

# Half of what a peer has to take something of what waits for it, which is a minute.
HALF = 31
HTTP2_PING = 6


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def pass_by(server: Server, clock: Clock, seconds: int, tls: ssl.SSLContext | None = None) -> None:
    """Lets time pass, and the server see that it has."""
    clock.pass_by(seconds)
    with TlsWire(server, tls) if tls else server.connect() as wire:
        assert wire.request("GET", "/").response().status == 200


# Slow readers.

LARGE = "/stream?n=300&size=100000"
SIZE = 300 * 100_000


def reading(server: Server) -> Wire:
    wire = server.connect(receive_buffer=16_384)
    wire.request("GET", LARGE, "Connection: close")
    assert wire.head().status == 200
    return wire


def test_a_slow_reader_is_not_cut(server: ServerFactory, clock: Clock) -> None:
    probe = server("asgi_probe:app", env=clock.env, fresh=True)
    with reading(probe) as wire:
        for _ in range(6):
            pass_by(probe, clock, HALF)
            wire.exactly(500_000)
        assert wire.rest().endswith(b"\r\n0\r\n\r\n")


def test_one_who_does_not_read_is_cut(server: ServerFactory, clock: Clock) -> None:
    probe = server("asgi_probe:app", env=clock.env, fresh=True)
    with reading(probe) as wire:
        cut = select.poll()
        cut.register(wire.socket, select.POLLHUP)
        deadline = time.monotonic() + DEADLINE
        # The response may take its time to fill the buffers on the way.
        while not cut.poll(0) and time.monotonic() < deadline:
            pass_by(probe, clock, HALF)
        assert len(wire.rest()) < SIZE


# Less at a time than a TLS session queues.
STEP = 60_000


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.make(tmp_path)


@pytest.fixture
def secured(server: ServerFactory, clock: Clock, files: Files) -> Server:
    return server("asgi_probe:app", "asgi", *files.options, env=clock.env, fresh=True)


def test_a_slow_reader_of_records_is_not_cut(secured: Server, clock: Clock, files: Files) -> None:
    trusted = context(files.authority)
    with TlsWire(secured, trusted, receive_buffer=16_384) as wire:
        wire.request("GET", LARGE, "Connection: close")
        assert wire.head().status == 200
        for _ in range(12):
            pass_by(secured, clock, HALF, trusted)
            wire.exactly(STEP)
        assert wire.rest().endswith(b"\r\n0\r\n\r\n")


def test_a_slow_reader_of_records_over_http2_is_not_cut(secured: Server, clock: Clock, files: Files) -> None:
    trusted, spoken = context(files.authority), context(files.authority, alpn=("h2",))
    with H2Wire(secured.address, context=spoken, receive_buffer=16_384) as stream:
        large = stream.start("GET", LARGE)
        for step in range(1, 13):
            while len(stream.answers[large].body) < step * STEP:
                assert stream.step()
            pass_by(secured, clock, HALF, trusted)
        assert len(stream.answer(large).body) == SIZE


@pytest.mark.parametrize("kind", ["socket", "window"])
def test_streams_wait_beside_one_that_is_blocked(server: ServerFactory, clock: Clock, kind: str) -> None:
    """They wait for the application: what the other one waits for is not their fault."""
    probe = server("asgi_probe:app", env=clock.env, fresh=True)
    wide = {4: 1 << 30} if kind == "socket" else {}
    with H2Wire(probe.address, settings=wide, greedy=False) as wire:
        if kind == "socket":
            wire.h2.increment_flow_control_window(1 << 30)
        large = wire.start("GET", LARGE)
        while not wire.answers[large].body:
            assert wire.step()
        waiting = wire.start("GET", "/wait?gate=patience")
        probe.wait_line("@waiting")
        for _ in range(6):
            pass_by(probe, clock, HALF)
            # The kernel tells of room when a sixteenth of its receive buffer is free, which may have 6 MiB.
            wanted = len(wire.answers[large].body) + 1_000_000
            if kind == "window":
                wire.h2.increment_flow_control_window(200_000)
                wire.h2.increment_flow_control_window(200_000, large)
                wire.flush()
                wanted = 0
            while len(wire.answers[large].body) < wanted:
                assert wire.step()
        probe.get("/open/patience")
        wire.h2.increment_flow_control_window(1 << 29)
        wire.h2.increment_flow_control_window(1 << 29, large)
        wire.flush()
        assert wire.answer(waiting).body == b"patience"
        assert len(wire.answer(large).body) == SIZE


# Pings.


class Blocked:
    """A server whose loop an application holds up until it is let go."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        reads = f"open({str(self._pipe)!r}).read()"
        steps = ("await accept()", "await receive()", "note('blocks')", reads, "await text('on')")
        self._websocket = open_websocket(server, "/", script(*steps))
        self._websocket.send("block")
        server.wait_line("@blocks")

    def let_go(self) -> None:
        self._pipe.write_text("on")
        # A thread of its own has seen the time that has passed meanwhile.
        while (seen := self._websocket.frame())[0] == FIN | PING:
            self._websocket.wire.send(frame(PONG, seen[1]))
        assert seen[1] == b"on"
        self._websocket.wire.close()


def test_a_pong_to_a_blocked_loop(server: ServerFactory, clock: Clock, tmp_path: Path) -> None:
    """It has come in time, and nobody has looked."""
    options = ("--ws-ping-interval", "20", "--ws-ping-timeout", "5")
    app = server("ws_asgi:app", "asginl", *options, env=clock.env, fresh=True)
    with open_websocket(app) as websocket:
        websocket.send("on")
        assert websocket.message() == "on"
        pass_by(app, clock, 21)
        first, payload = websocket.frame()
        assert first == FIN | PING
        blocked = Blocked(app, tmp_path)
        websocket.wire.send(frame(PONG, payload))
        clock.pass_by(60)
        blocked.let_go()
        websocket.send("on")
        while (seen := websocket.frame())[0] == FIN | PING:
            websocket.wire.send(frame(PONG, seen[1]))
        assert seen[1] == b"on"


def test_a_pong_to_a_blocked_loop_over_http2(server: ServerFactory, clock: Clock, tmp_path: Path) -> None:
    options = ("--http2-keep-alive-interval", "20000", "--http2-keep-alive-timeout", "5")
    app = server("ws_asgi:app", "asginl", *options, env=clock.env, fresh=True)
    with H2Wire(app.address) as wire:
        # With the second one all has come that belongs to the first.
        wire.request("GET", "/")
        wire.request("GET", "/")
        pass_by(app, clock, 21)
        wire.flush = lambda: None  # type: ignore[method-assign]
        while (HTTP2_PING, 0) not in wire.seen:
            assert wire.step()
        blocked = Blocked(app, tmp_path)
        wire.socket.sendall(wire.h2.data_to_send())
        clock.pass_by(60)
        blocked.let_go()
        del wire.flush
        assert wire.request("GET", "/").body == b"healthy"


def test_a_pong_behind_an_upload(server: ServerFactory, clock: Clock, tmp_path: Path) -> None:
    """An application that does not read leaves the answer where it is."""
    options = ("--ws-ping-interval", "20", "--ws-ping-timeout", "5")
    app = server("ws_asgi:app", "asginl", *options, env=clock.env, fresh=True)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    count, message = 100, frame(BINARY, bytes(100_000))
    waits = f"await asyncio.to_thread(lambda: open({str(pipe)!r}).read())"
    takes = f"note('sizes', [len((await receive())['bytes']) for _ in range({count})])"
    steps = ("await accept()", "note('waits')", waits, takes, "await text('on')")
    with open_websocket(app, "/", script(*steps)) as websocket:
        app.wait_line("@waits")
        left = memoryview(message * count)
        left = left[until_full(websocket, left) :]
        assert left
        pass_by(app, clock, 21)
        first, payload = websocket.frame()
        assert first == FIN | PING
        pass_by(app, clock, 60)
        pipe.write_text("on")
        websocket.wire.send(bytes(left) + frame(PONG, payload))
        assert app.note("sizes") == [100_000] * count
        while (seen := websocket.frame())[0] == FIN | PING:
            websocket.wire.send(frame(PONG, seen[1]))
        assert seen[1] == b"on"


def until_full(websocket: WebSocket, data: memoryview) -> int:
    """Sends until neither end takes more; how much that was."""
    sent = 0
    websocket.wire.socket.settimeout(0.5)
    try:
        while sent < len(data):
            sent += websocket.wire.socket.send(data[sent : sent + 65_536])
    except TimeoutError:
        pass
    websocket.wire.socket.settimeout(DEADLINE)
    return sent
