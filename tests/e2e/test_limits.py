"""Limits and clocks by their options: what clients, applications and the log see at each. docs/limits.md has them all.

The edges are in `test_limit_edges.py`, and on a clock that the test moves in `crates/net/src/*/tests/limits.rs`.
"""

from __future__ import annotations

import socket

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server, script
from .tls import Files, TlsWire, context
from .websocket import open_websocket

DEBUG = ("--log-level", "debug")
INTERFACES = [
    ("asgi_probe:app", "asgi"),
    ("rsgi_probe:app", "rsgi"),
    ("wsgi_probe:app", "wsgi", "--blocking-threads", "1"),
    ("wsgi_probe:app", "wsgi", "--blocking-threads", "4"),
]
NAMES = ["asgi", "rsgi", "wsgi", "wsgi-threads"]
SLEEP = script("note('begun')", "await asyncio.sleep(60)")
CANCELLED, NO_ERROR = 8, 0


def reached(server: Server, option: str, since: int) -> None:
    server.wait_line(rf"\[DEBUG\] .*has reached the limit of {option}$", since)


# Sizes.

SIZES = ("--max-headers", "20", "--max-target-size", "100", "--max-body-size", "1000", *DEBUG)


@pytest.fixture(params=INTERFACES, ids=NAMES)
def small(request: pytest.FixtureRequest, server: ServerFactory) -> Server:
    return server(*request.param, *SIZES)


def test_heads_are_bounded(small: Server) -> None:
    fields = [f"x-{number}: x" for number in range(19)]
    assert small.get("/", *fields).status == 200
    mark = small.mark()
    assert small.get("/", *fields, "one: more").status == 431
    reached(small, "--max-headers", mark)
    assert small.get("/?" + "x" * 98).status == 200
    assert small.get("/?" + "x" * 99).status == 414
    reached(small, "--max-target-size", mark)
    with H2Wire(small.address) as wire:
        pairs = [(f"x-{number}", "x") for number in range(21)]
        assert wire.request("GET", "/", *pairs[:20]).status == 200
        assert wire.request("GET", "/", *pairs).status == 431
        assert wire.request("GET", "/?" + "x" * 99).status == 414
        assert wire.request("GET", "/").status == 200


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("app", INTERFACES, ids=NAMES)
def test_header_sections_are_bounded(
    server: ServerFactory, app: tuple[str, ...], secure: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A section of HTTP/2 counts each field with 32 bytes more (RFC 9113, 6.5.2)."""
    size, trusted, tls = 2000, None, ()
    if secure:
        files = Files.make(tmp_path_factory.mktemp("tls"))
        trusted, tls = context(files.authority, ("h2",)), files.options
    running = server(*app, *tls, "--http2-max-headers-size", str(size), *DEBUG, "--access-log")
    mark = running.mark()
    with H2Wire(running.address, context=trusted) as wire:
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/"), ("x", "")]
        filled = size - sum(len(name) + len(value) + 32 for name, value in pseudo)
        for length, status in ((filled - 1, 200), (filled, 200), (filled + 1, 431), (filled, 200)):
            assert wire.request("GET", "/", ("x", "v" * length)).status == status, length
        assert wire.h2.remote_settings.max_header_list_size == size
    reached(running, "--http2-max-headers-size", mark)
    running.wait_line(r'"GET / HTTP/2" 431', mark)


def test_bodies_are_bounded(small: Server) -> None:
    assert small.request("POST", "/echo", body=b"x" * 1000).body == b"x" * 1000
    mark = small.mark()
    assert small.request("POST", "/upload?by=call", body=b"x" * 1001).status == 413
    reached(small, "--max-body-size", mark)
    with H2Wire(small.address) as wire:
        assert len(wire.request("POST", "/echo", body=b"x" * 1000).body) == 1000
        assert wire.request("POST", "/upload?by=call", ("content-length", "1001"), body=b"x" * 1001).status == 413
        assert wire.request("GET", "/").status == 200
    assert "@upload" not in small.log(mark), "the application was not called"


def test_bodies_of_unknown_length_are_cut_off(small: Server) -> None:
    """An application that waits for the body sees its client leave, if it was called before."""
    mark = small.mark()
    with small.connect() as wire:
        wire.request("POST", "/upload?by=call", "Transfer-Encoding: chunked", "Expect: 100-continue")
        assert wire.head().status == 100
        wire.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n")
        assert wire.response().status == 413
        assert wire.rest() == b""
    reached(small, "--max-body-size", mark)
    if "1" not in small.spec.options:
        # Its size, or its error.
        assert small.note("upload", mark) != [1001]
    with H2Wire(small.address) as stream:
        number = stream.start("POST", "/upload?by=call", end=False)
        stream.data(number, b"x" * 1001)
        assert stream.answer(number).status == 413


def test_an_upload_that_waits_to_be_asked_for_sends_nothing(small: Server) -> None:
    with small.connect() as wire:
        wire.request("POST", "/upload?by=call", "Content-Length: 1001", "Expect: 100-continue")
        assert wire.response().status == 413


# Clocks.


def test_idle_connections_are_closed(server: ServerFactory) -> None:
    app = server("asgi_probe:app", "asgi", "--keep-alive-timeout", "300ms", "--http2-idle-timeout", "1", *DEBUG)
    mark = app.mark()
    with app.connect() as wire, H2Wire(app.address) as beside:
        assert beside.request("GET", "/").status == 200
        assert wire.request("GET", "/").response().header("connection") is None
        assert wire.rest() == b""
        reached(app, "--keep-alive-timeout", mark)
        assert beside.until_closed() == NO_ERROR
        reached(app, "--http2-idle-timeout", mark)


def test_no_connection_is_kept(server: ServerFactory) -> None:
    app = server("asgi_probe:app", "asgi", "--keep-alive-timeout", "0")
    with app.connect() as wire:
        assert wire.request("GET", "/").response().header("connection") == "close"
        assert wire.rest() == b""


SLOW = ("--request-body-timeout", "300ms", *DEBUG)


@pytest.mark.parametrize("app", INTERFACES, ids=NAMES)
def test_bodies_that_stop_are_refused(server: ServerFactory, app: tuple[str, ...]) -> None:
    running = server(*app, *SLOW)
    mark = running.mark()
    with running.connect() as wire, H2Wire(running.address) as beside:
        wire.request("POST", "/upload?by=call", "Content-Length: 100").send(b"x")
        stream = beside.start("POST", "/upload?by=call", ("content-length", "100"), end=False)
        beside.data(stream, b"x")
        assert wire.response().status == 408
        assert beside.answer(stream).status == 408
        assert beside.request("GET", "/").status == 200
    reached(running, "--request-body-timeout", mark)


def test_a_rate_has_to_be_kept(server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> None:
    from .clock import Clock

    clock = Clock(tmp_path_factory.mktemp("clock"))
    app = server("asgi_probe:app", "asgi", "--request-body-min-rate", "10", *DEBUG, env=clock.env, fresh=True)
    with app.connect() as wire:
        wire.request("POST", "/upload?by=call", "Content-Length: 100000").send(b"x" * 10)
        app.get("/")
        clock.pass_by(8)
        app.get("/")
        assert wire.response().status == 408
    reached(app, "--request-body-min-rate", 0)


LATE = ("--request-timeout", "400ms", *DEBUG)


@pytest.mark.parametrize("app", INTERFACES[:2], ids=NAMES[:2])
def test_requests_that_take_too_long_are_cancelled(server: ServerFactory, app: tuple[str, ...]) -> None:
    running = server(*app, *LATE)
    mark = running.mark()
    with running.connect() as wire:
        assert wire.request("GET", "/script", SLEEP).response().status == 504
        assert running.note("script", mark) == ["ok"], "its task has ended"
        assert wire.request("GET", "/").response().status == 200, "the connection goes on"
    running.wait_line(r"\[WARNING\] GET /script has taken longer than --request-timeout \(0.4 s\)", mark)
    reached(running, "--request-timeout", mark)
    with H2Wire(running.address) as stream:
        name, value = SLEEP.split(": ", 1)
        assert stream.request("GET", "/script", (name, value)).status == 504
        late = stream.answer(stream.start("GET", "/chunks?gate=never"))
        assert late.reset == CANCELLED
        assert stream.request("GET", "/").status == 200
    with running.connect() as wire:
        wire.request("GET", "/chunks?gate=never")
        assert wire.head().status == 200
        assert not wire.rest().endswith(b"0\r\n\r\n"), "it is cut"
    assert "Traceback" not in running.log(mark)


def test_a_thread_that_takes_too_long_is_named(server: ServerFactory) -> None:
    app = server("wsgi_probe:app", "wsgi", "--blocking-threads", "2", *LATE)
    mark = app.mark()
    with app.connect() as wire:
        assert wire.request("GET", "/wait?gate=slow").response().status == 504
        assert wire.request("GET", "/").response().status == 200
    app.wait_line(
        r"\[WARNING\] GET /wait has taken longer than .*: its thread granian-blocking-\d cannot be cancelled", mark
    )
    app.wait_line(r"gates\[gate\]\.wait\(30\)", mark)
    app.get("/open/slow")


def test_a_websocket_has_to_be_accepted_in_time(server: ServerFactory) -> None:
    app = server("ws_asgi:app", "asginl", *LATE)
    with app.connect() as wire:
        opening = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        wire.request("GET", "/", *opening, key, script("await asyncio.sleep(60)"))
        assert wire.response().status == 504
    with open_websocket(
        app, "/", script("await accept()", "await asyncio.sleep(0.6)", "await text('on')")
    ) as websocket:
        assert websocket.message() == "on", "it has no such clock once it is open"


@pytest.mark.parametrize("app", INTERFACES[:2], ids=NAMES[:2])
def test_tasks_end_with_their_clients(server: ServerFactory, app: tuple[str, ...]) -> None:
    running = server(*app, "--cancel-on-disconnect")
    for leave in ("close", "reset", "stream"):
        mark = running.mark()
        if leave == "stream":
            with H2Wire(running.address) as wire:
                name, value = SLEEP.split(": ", 1)
                number = wire.start("GET", "/script", (name, value))
                running.note("begun", mark)
                wire.h2.reset_stream(number)
                wire.flush()
                assert running.note("script", mark) == ["ok"], leave
        else:
            wire = running.connect().request("GET", "/script", SLEEP)
            running.note("begun", mark)
            getattr(wire, leave)()
            assert running.note("script", mark) == ["ok"], leave
    assert "Traceback" not in running.log()


def test_tasks_go_on_without_their_clients(server: ServerFactory) -> None:
    app = server("asgi_probe:app")
    mark = app.mark()
    wire = app.connect().request("GET", "/script", script("note('begun')", "await receive()", "await receive()"))
    app.note("begun", mark)
    wire.close()
    assert app.note("script", mark) == ["ok", "ok", "ok"]


def test_handshakes_have_their_time(server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = Files.make(tmp_path_factory.mktemp("tls"))
    options = ("--ssl-handshake-timeout", "1", "--keep-alive-timeout", "300ms", "--max-body-size", "10")
    app = server("asgi_probe:app", "asgi", *files.options, *options, *DEBUG)
    with app.connect() as silent:
        trusted = context(files.authority)
        with TlsWire(app, trusted) as wire:
            assert wire.request("POST", "/echo", body=b"x" * 11).response().status == 413
        with TlsWire(app, trusted) as wire:
            assert wire.request("GET", "/").response().status == 200
            assert wire.rest() == b""
        assert silent.rest() == b""
    for option in ("--ssl-handshake-timeout", "--keep-alive-timeout", "--max-body-size"):
        reached(app, option, 0)


# Numbers.


def test_a_connection_carries_so_many_requests(server: ServerFactory) -> None:
    app = server("asgi_probe:app", "asgi", "--max-requests-per-connection", "2", *DEBUG)
    with app.connect() as wire:
        assert wire.request("GET", "/").response().header("connection") is None
        assert wire.request("GET", "/").response().header("connection") == "close"
        assert wire.rest() == b""
    with H2Wire(app.address) as stream:
        assert stream.request("GET", "/").status == 200
        assert stream.request("GET", "/").status == 200
        assert stream.until_closed() == NO_ERROR


def test_idle_connections_make_room(server: ServerFactory) -> None:
    app = server("asgi_probe:app", "asgi", "--max-connections", "3", *DEBUG, fresh=True)
    mark = app.mark()
    wires = [app.connect() for _ in range(3)]
    for wire in wires:
        assert wire.request("GET", "/").response().status == 200
    wires[0].request("GET", "/wait?gate=busy")
    app.wait_line("@waiting", mark)
    with app.connect() as newcomer:
        assert newcomer.request("GET", "/").response().status == 200
        reached(app, "--max-connections", mark)
        assert wires[1].rest() == b"", "it was idle for the longest time"
        # With requests on all of them the next one waits.
        for wire, gate in ((wires[2], "b"), (newcomer, "c")):
            wire.request("GET", f"/wait?gate={gate}")
            app.wait_line(f'@waiting "{gate}"', mark)
        with app.connect() as last:
            last.request("GET", "/")
            assert last.is_silent(0.1)
            newcomer.reset()
            assert last.response().status == 200
    for gate in ("busy", "b", "c"):
        assert app.get(f"/open/{gate}").status == 200


def test_a_client_has_so_many_connections(server: ServerFactory) -> None:
    app = server("asgi_probe:app", "asgi", "--max-connections-per-client", "2", *DEBUG, fresh=True)
    mark = app.mark()
    first, second = app.connect(), app.connect()
    for wire in (first, second):
        assert wire.request("GET", "/").response().status == 200
    with app.connect() as third:
        assert third.rest() == b""
    reached(app, "--max-connections-per-client", mark)
    other = socket.create_connection(app.address, source_address=("127.0.0.2", 0))
    other.close()
    first.close()
    app.wait_line("closed: peer_closed", mark)
    assert app.get("/").status == 200


@pytest.mark.parametrize("app", INTERFACES[:2], ids=NAMES[:2])
def test_the_line_of_requests_is_bounded(server: ServerFactory, app: tuple[str, ...]) -> None:
    line = ("--backpressure", "1", "--max-queued-requests", "1", "--queue-timeout", "1")
    running = server(*app, *line, *DEBUG, "--cancel-on-disconnect", fresh=True)
    mark = running.mark()
    busy = running.connect().request("GET", "/wait?gate=busy")
    running.wait_line("@waiting", mark)
    waiting = running.connect().request("GET", "/")
    assert waiting.is_silent(0.1)
    with running.connect() as third, H2Wire(running.address) as stream:
        answer = third.request("GET", "/").response()
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        refused = stream.request("GET", "/")
        assert (refused.status, refused.header("retry-after")) == (503, "1")
        reached(running, "--max-queued-requests", mark)
        assert waiting.response().status == 503
        reached(running, "--queue-timeout", mark)
    busy.reset()


def test_a_standing_line_is_told_at_once(server: ServerFactory) -> None:
    options = ("--backpressure", "1", "--overload", "auto", "--overload-target", "5ms", "--overload-interval", "100ms")
    app = server("asgi_probe:app", "asgi", *options, *DEBUG, "--cancel-on-disconnect", fresh=True)
    mark = app.mark()
    busy = app.connect().request("GET", "/wait?gate=busy")
    app.wait_line("@waiting", mark)
    for _ in range(3):
        answer = app.get("/")
        assert (answer.status, answer.header("retry-after")) == (503, "1")
    reached(app, "--overload", mark)
    busy.reset()


def test_contradictions_name_both_options(launch: ServerFactory) -> None:
    server = launch("asgi_probe:app", "asgi", "--max-connections", "1", "--max-connections-per-client", "2")
    assert server.wait_exit() == 1
    assert server.lines()[-1].endswith("--max-connections-per-client: more than --max-connections, 1")
