"""Limits one below, at and one above, and clocks before and behind their time, on each interface and with TLS.

The drive loops have the same edges to the byte and to the millisecond in `crates/net/src/*/tests/limits.rs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .carriers import CARRIERS, NO_ERROR, Carried, carried
from .clock import Clock
from .conftest import ServerFactory
from .h2wire import H2Wire, frame
from .server import TARGETS, script
from .test_websocket_http2 import FIELDS, connect
from .tls import Files
from .websocket import UPGRADE

CALM = 11
SIZES = (
    *("--max-headers", "20", "--max-target-size", "100", "--max-body-size", "1000"),
    *("--http1-buffer-size", "8192", "--http2-max-headers-size", "2000"),
)


@pytest.fixture(params=[(carrier, interface) for carrier in CARRIERS for interface in TARGETS], ids="-".join)
def small(request: pytest.FixtureRequest, server: ServerFactory, files: Files) -> Carried:
    carrier, interface = request.param
    return carried(server, files, carrier, *TARGETS[interface], *SIZES)


def test_fields(small: Carried) -> None:
    # Over HTTP/1 the host is one.
    others = 1 if small.version == "h1" else 0
    for count, status in ((19, 200), (20, 200), (21, 431)):
        fields = [(f"x-{number}", "x") for number in range(count - others)]
        assert small.status("GET", "/", *fields) == status, count


def test_targets(small: Carried) -> None:
    for length, status in ((99, 200), (100, 200), (101, 414)):
        assert small.status("GET", "/?" + "x" * (length - 2)) == status, length


@pytest.mark.parametrize("framing", ["declared", "undeclared"])
def test_bodies(small: Carried, framing: str) -> None:
    for length, status in ((999, 200), (1000, 200), (1001, 413)):
        fields = [("content-length", str(length))] if framing == "declared" else []
        assert small.status("POST", "/echo", *fields, body=b"x" * length) == status, length


@pytest.mark.parametrize("carrier", ["h1", "h1-tls"])
@pytest.mark.parametrize("interface", TARGETS)
def test_heads_of_http1(server: ServerFactory, files: Files, interface: str, carrier: str) -> None:
    small = carried(server, files, carrier, *TARGETS[interface], *SIZES)
    before, behind = b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"\r\n\r\n"
    for length, status in ((8191, 200), (8192, 200), (8193, 431)):
        with small.wire() as wire:
            wire.send(before + b"v" * (length - len(before) - len(behind)) + behind)
            assert wire.response().status == status, length


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_openings_of_websockets(server: ServerFactory, files: Files, interface: str, carrier: str) -> None:
    """They are requests like others until they are accepted."""
    small = carried(server, files, carrier, f"ws_{interface}:app", TARGETS[interface][1], *SIZES)
    accepted = 101 if small.version == "h1" else 200
    # The host and the fields of the handshake.
    others = 5 if small.version == "h1" else 1
    for count, status in ((19, accepted), (20, accepted), (21, 431)):
        assert small.opening("/", *[(f"x-{number}", "x") for number in range(count - others)]) == status, count
    for length, status in ((99, accepted), (100, accepted), (101, 414)):
        assert small.opening("/?" + "x" * (length - 2)) == status, length
    if small.version == "h2":
        pseudo = [(":method", "CONNECT"), (":scheme", "http"), (":authority", "h"), (":path", "/")]
        section = [*pseudo, (":protocol", "websocket"), *FIELDS, ("x", "")]
        filled = 2000 - sum(len(name) + len(value) + 32 for name, value in section)
        for length, status in ((filled - 1, 200), (filled, 200), (filled + 1, 431)):
            assert small.opening("/", ("x", "v" * length)) == status, length


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("interface", TARGETS)
def test_requests_of_a_connection(server: ServerFactory, files: Files, interface: str, carrier: str) -> None:
    app = carried(server, files, carrier, *TARGETS[interface], "--max-requests-per-connection", "3")
    if app.version == "h2":
        with app.h2() as stream:
            assert [stream.request("GET", "/").status for _ in range(2)] == [200, 200]
            assert stream.goaway is None
            assert stream.request("GET", "/").status == 200
            assert stream.until_closed() == NO_ERROR
        return
    with app.wire() as wire:
        said = [wire.request("GET", "/").response().header("connection") for _ in range(3)]
        assert said == [None, None, "close"]
        assert wire.rest() == b""


# One blocking thread has no line of its own: it takes requests as fast as they are read.
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi-pool", "ws"])
def test_the_line(server: ServerFactory, files: Files, tmp_path: Path, interface: str, carrier: str) -> None:
    """None waits, one does, one more may not; a websocket's opening waits like others."""
    target = ("ws_asgi:app", "asgi") if interface == "ws" else TARGETS[interface]
    line = ("--backpressure", "1", "--max-queued-requests", "1", "--cancel-on-disconnect")
    app = carried(server, files, carrier, *target, *line)
    mark, gate = app.server.mark(), tmp_path / "gate"
    with ExitStack() as stack:
        busy = stack.enter_context(app.wire())
        if interface == "ws":
            busy.request("GET", "/", *UPGRADE, script("note('working')", "await asyncio.sleep(1000)"))
        else:
            busy.request("GET", f"/work?path={gate}")
        app.server.wait_line("@working", mark)
        waiting = stack.enter_context(app.wire()).request("GET", "/")
        assert waiting.is_silent(0.1)
        assert (app.opening("/") if interface == "ws" else app.status("GET", "/")) == 503
        if interface == "ws":
            busy.reset()
        else:
            gate.touch()
        assert waiting.response().status == 200


@pytest.fixture(params=["plain", "tls"])
def timed(request: pytest.FixtureRequest, server: ServerFactory, files: Files) -> Iterator[Any]:
    def start(*options: str, env: dict[str, str]) -> Carried:
        secure = request.param == "tls"
        tls = (*files.options, "--ssl-handshake-timeout", "60") if secure else ()
        more = (*CLOCKS, *tls, "--runtime-mode", "st")
        return Carried(server(*options, *more, env=env, fresh=True), "h1", files if secure else None)

    return start


CLOCKS = (
    *("--http1-header-read-timeout", "60s", "--keep-alive-timeout", "60"),
    *("--http2-idle-timeout", "60", "--request-timeout", "60", "--request-body-timeout", "50"),
)


def pass_by(app: Carried, clock: Clock, seconds: int) -> None:
    """Lets time pass, and the server see that it has."""
    clock.pass_by(seconds)
    # That of websockets answers no other requests.
    assert app.status("GET", "/") in (200, 500)


def settle(app: Carried) -> None:
    """All that was sent before has been read: with the second answer all has come that belongs to the first."""
    for _ in range(2):
        app.status("GET", "/")


def start_upload(wire: H2Wire) -> int:
    number = wire.start("POST", "/upload?by=call", ("content-length", "100"), end=False)
    wire.data(number, b"x")
    return number


@pytest.mark.parametrize("interface", TARGETS)
def test_clocks(timed: Any, tmp_path: Path, interface: str) -> None:
    """Nothing is closed a few seconds before its time, and all is a few seconds behind it."""
    clock = Clock(tmp_path)
    app = timed(*TARGETS[interface], env=clock.env)
    with ExitStack() as stack:
        wires = [stack.enter_context(app.wire()) for _ in range(4)]
        idle, again, head, body = wires
        silent = stack.enter_context(app.server.connect())
        for wire in (idle, again):
            assert wire.request("GET", "/").response().status == 200
        again.send(b"GET / HTTP/1.1\r\n")
        head.send(b"GET / HTTP/1.1\r\n")
        body.request("POST", "/upload?by=call", "content-length: 100").send(b"x")
        quiet, section, upload = (stack.enter_context(app.h2()) for _ in range(3))
        for stream in (quiet, section):
            assert stream.request("GET", "/").status == 200
        section.socket.sendall(frame(1, 1, 3, b"\x82"))
        number = start_upload(upload)
        slow = None
        if interface != "wsgi":
            slow = stack.enter_context(app.wire()).request("GET", "/wait?gate=clock")
        settle(app)
        pass_by(app, clock, 44)
        for wire in (*wires, silent, *([slow] if slow else [])):
            assert wire.is_silent(0.02)
        pass_by(app, clock, 10)
        assert body.response().status == 408
        assert upload.answer(number).status == 408
        for wire in (idle, again, head, silent, *([slow] if slow else [])):
            assert wire.is_silent(0.02)
        pass_by(app, clock, 10)
        assert idle.rest() == silent.rest() == b""
        assert [wire.response().status for wire in (again, head)] == [408, 408]
        assert quiet.until_closed() == NO_ERROR
        assert section.until_closed() == CALM
        if slow:
            assert slow.response().status == 504
            app.status("GET", "/open/clock")


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_clocks_of_openings(timed: Any, tmp_path: Path, interface: str) -> None:
    """A websocket that is not accepted has the time of a request, on HTTP/2 as well."""
    clock = Clock(tmp_path)
    app = timed(f"ws_{interface}:app", TARGETS[interface][1], env=clock.env)
    mark = app.server.mark()
    line = script("note('waits')", "await asyncio.sleep(1000)")
    name, value = line.split(": ", 1)
    with app.wire() as wire, app.h2() as stream, app.wire() as head:
        wire.request("GET", "/", *UPGRADE, line)
        opening = connect(stream, "/", (name.lower(), value))
        head.send(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
        while app.server.log(mark).count("@waits") < 2:
            app.server.mark()
        settle(app)
        pass_by(app, clock, 54)
        assert wire.is_silent(0.02)
        assert head.is_silent(0.02)
        assert not opening.answer.headers
        pass_by(app, clock, 10)
        assert wire.response().status == 504
        assert head.response().status == 408
        while not opening.answer.headers:
            assert stream.step()
        assert opening.answer.status == 504
