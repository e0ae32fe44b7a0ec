"""Connections on threads of their own (`--runtime-mode mt`): what needs no Python does not wait for who keeps it busy.

The other tests run in this placement with `GRANIAN_TEST_PLACEMENT=mt` (`make test-mt`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from .h2wire import H2Wire, frame
from .server import TARGETS, Server, script
from .tls import Files, TlsWire, context
from .websocket import FIN, close_frame, open_websocket
from .websocket import frame as ws_frame
from .wire import DEADLINE

MT = ("--runtime-mode", "mt", "--runtime-threads", "2")
LOG = ("--access-log", "--access-log-fmt", "@access %(method)s %(path)s %(status)d %(body_bytes)d")
# Seconds within which something is done that needs no Python, on a machine that has more to do.
AT_ONCE = 0.1
PING, PONG = 9, 10
H2_PING = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("placement")
    (folder / "public").mkdir()
    (folder / "public" / "hello.txt").write_text("Hello, file!")
    return Files.make(folder)


@pytest.fixture
def plain(server, files) -> Server:
    return server("placed:app", "asginl", *MT, *LOG, *beside(files))


def beside(files: Files) -> tuple[str, ...]:
    return (
        "--static-path-mount",
        str(files.folder / "public"),
        "--static-path-route",
        "/static",
        "--health-path",
        "/up",
    )


@contextmanager
def blocked(server: Server, tmp_path: Path, status: int = 200) -> Iterator[None]:
    """A handler keeps the event loop and the interpreter meanwhile."""
    mark = server.mark()
    gate = tmp_path / f"gate-{mark}"
    with server.connect() as wire:
        wire.request("GET", f"/block?{quote(str(gate))}")
        try:
            server.note("blocked", mark)
            yield
        finally:
            gate.touch()
        assert wire.response().status == status


def quickest(do: Callable[[], None]) -> float:
    """Seconds that it takes when no other process is in the way."""
    took = []
    for _ in range(20):
        begun = time.monotonic()
        do()
        took.append(time.monotonic() - begun)
        if took[-1] < AT_ONCE:
            break
    return min(took)


def eventually(holds: Callable[[], bool]) -> bool:
    """For an outcome that a busy machine may delay."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if holds():
            return True
    return False


def test_handshakes_files_and_health_go_on(server, files, tmp_path):
    probe: Server = server("placed:app", "asginl", *MT, *files.options, *beside(files))
    trusting = context(files.authority)

    def visit() -> None:
        with TlsWire(probe, trusting) as wire:
            found = wire.request("GET", "/static/hello.txt").response()
            assert (found.status, found.body) == (200, b"Hello, file!")
            assert wire.request("GET", "/up").response().body == b"ok\n"

    gate = tmp_path / "gate"
    mark = probe.mark()
    with TlsWire(probe, trusting) as wire:
        wire.request("GET", f"/block?{quote(str(gate))}")
        try:
            probe.note("blocked", mark)
            assert quickest(visit) < AT_ONCE
        finally:
            gate.touch()
        assert wire.response().status == 200


def test_pings_are_answered(plain, tmp_path):
    with open_websocket(plain) as socket, H2Wire(plain.address) as http2:
        socket.send("before")
        assert socket.message() == "before"
        assert http2.request("GET", "/").status == 200
        with blocked(plain, tmp_path):
            socket.wire.send(ws_frame(PING, b"there?"))
            assert socket.frame() == (FIN | PONG, b"there?")
            http2.socket.sendall(frame(H2_PING, 0, 0, b"12345678"))
            answer = frame(H2_PING, 1, 0, b"12345678")
            seen = b""
            while answer not in seen:
                data = http2.socket.recv(4096)
                assert data, "closed"
                seen += data
        socket.send("after")
        assert socket.message() == "after"


def test_refusals_and_uploads_go_on(plain, tmp_path):
    with plain.connect() as upload:
        with blocked(plain, tmp_path):
            assert plain.request("GET", "/ no").status == 400
            upload.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 50000\r\n\r\n" + b"x" * 20_000)
            upload.send(b"x" * 30_000)
        assert upload.response().body == b"50000 bytes"


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_requests_behind_a_busy_loop_wait_in_the_line(server, tmp_path, interface):
    """`--overload` bounds the wait: one or two requests are on their way to the loop, the others are told meanwhile."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    probe: Server = server(*TARGETS[interface], *MT, "--overload", "auto", "--log-level", "debug")
    steps = script("note('busy')", f"open({str(gate)!r}).read()")
    mark = probe.mark()
    # No GET: one without an answer may be called again.
    busy = probe.connect().request("POST", "/script", steps)
    probe.wait_line("@busy", mark)
    wires = [probe.connect().request("GET", "/") for _ in range(6)]
    with H2Wire(probe.address) as multiplexed:
        told = [multiplexed.request("GET", "/").status for _ in range(2)]
        assert told == [503, 503]
        gate.write_text("on")
        answers = [wire.response().status for wire in wires]
        assert 1 <= answers.count(200) <= 2
        assert answers.count(503) == 6 - answers.count(200)
        busy.response()  # which the steps have not made
        probe.wait_line("has reached the limit of --overload$", mark)
        assert eventually(lambda: multiplexed.request("GET", "/").status == 200)
    for wire in (busy, *wires):
        wire.close()


def test_a_request_that_waits_for_the_loop_times_out(server, tmp_path):
    probe: Server = server("placed:app", "asginl", *MT, "--request-timeout", "300ms")
    with blocked(probe, tmp_path, status=504), probe.connect() as wire:
        assert wire.request("GET", "/").response().status == 504
    mark = probe.mark()
    assert eventually(lambda: probe.get("/").status == 200)
    assert "Traceback" not in probe.log(mark)


def test_answers_have_their_lines(plain):
    mark = plain.mark()
    assert plain.get("/static/hello.txt").status == 200
    assert plain.request("POST", "/", body=b"12345").body == b"5 bytes"
    assert plain.get("/static/none").status == 404
    for line in ("GET /static/hello.txt 200 12", "POST / 200 7", "GET /static/none 404 9"):
        plain.wait_line(f"^@access {line}$", mark)


def test_as_many_calls_at_once_as_without_threads(server):
    """One bound for both threads."""
    probe: Server = server(*TARGETS["asgi"], *MT, "--backpressure", "1")
    wires = [probe.connect().request("GET", "/") for _ in range(8)]
    assert [wire.response().status for wire in wires] == [200] * 8


@pytest.mark.parametrize("interface", ["wsgi", "wsgi-pool"])
def test_wsgi(server, interface):
    """A response that is made piece by piece, as its client reads, on the loop's thread or another one."""
    probe: Server = server(*TARGETS[interface], *MT)
    body = b"x" * 200_000
    assert probe.request("POST", "/echo", body=body).body == body
    assert len(probe.get("/stream?n=32&size=65536").body) == 32 * 65536


def test_a_body_reaches_the_application_as_it_comes(server):
    """Pieces that are far smaller than what is handed over together."""
    probe: Server = server(*TARGETS["asgi"], *MT)
    pieces = (b"one", b"two", b"three")
    with probe.connect() as wire:
        wire.send(b"POST /echo/stream HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
        assert wire.head().status == 200
        for piece in pieces:
            wire.send(piece)
            assert wire.chunk() == piece
    with H2Wire(probe.address) as http2:
        number = http2.start("POST", "/echo/stream", end=False)
        for piece in pieces:
            http2.data(number, piece)
            while not http2.answers[number].body.endswith(piece):
                assert http2.step()


def test_a_stop_is_clean(server, files):
    """With an idle connection, a websocket and a request on the way."""
    probe: Server = server("placed:app", "asginl", *MT, *beside(files), fresh=True)
    with open_websocket(probe) as socket, probe.connect() as idle, probe.connect() as busy:
        assert idle.request("GET", "/").response().status == 200
        busy.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n12345")
        probe.terminate()
        assert socket.closed()[0] == 1001
        socket.wire.send(close_frame(1001))
        assert idle.rest() == b""
        busy.send(b"67890")
        found = busy.response()
        assert (found.body, found.header("connection")) == (b"10 bytes", "close")
        assert probe.wait_exit() == 0
