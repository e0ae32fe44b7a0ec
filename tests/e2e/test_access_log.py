"""The access log: one line for each answer, whoever gave it."""

from __future__ import annotations

import re
import socket

import pytest

from .h2wire import Answer, H2Wire
from .server import Server, script
from .tls import Files
from .wire import Wire

FORMAT = "@access %(addr)s %(scheme)s %(protocol)s %(method)s %(path)s %(query_string)s %(status)d %(body_bytes)d"
LOG = ("--access-log", "--access-log-fmt", FORMAT)
TARGETS = {
    "asgi": ("asgi_probe:app", "asginl"),
    "rsgi": ("rsgi_probe:app", "rsgi"),
    "wsgi": ("wsgi_probe:app", "wsgi", "--blocking-threads", "1"),
    "wsgi-pool": ("wsgi_probe:app", "wsgi", "--blocking-threads", "8"),
}


def check(probe: Server, mark: int, *expected: str) -> None:
    """The lines since `mark` are these, in any order; the last answer's line has come."""
    for line in expected:
        probe.wait_line(f"^{re.escape(f'@access 127.0.0.1 {line}')}$", mark)
    probe.mark()  # all that was written has been read
    lines = [line for line in probe.lines(mark) if line.startswith("@access")]
    assert sorted(lines) == sorted(f"@access 127.0.0.1 {line}" for line in expected)


@pytest.mark.parametrize("interface", TARGETS)
def test_answers_of_the_application(server, interface):
    probe: Server = server(*TARGETS[interface], *LOG)
    mark = probe.mark()
    assert probe.get("/?a=b").body == b"hello"
    assert probe.get("/none").status == 404
    assert probe.connect().request("HEAD", "/").response("HEAD").status == 200
    with H2Wire(probe.address) as wire:
        assert wire.request("GET", "/?c").body == b"hello"
    check(
        probe,
        mark,
        "http HTTP/1.1 GET / a=b 200 5",
        "http HTTP/1.1 GET /none  404 12",
        "http HTTP/1.1 HEAD /  200 0",
        "http HTTP/2 GET / c 200 5",
    )


# What the server answers by itself before it has read a whole head.
REFUSED = {
    "line": (b"nonsense\r\n\r\n", 400),
    "field": (b"GET / HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n", 400),
    "host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "expectation": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 500_000, 431),
    "method": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
    "version": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "timeout": (b"GET / HTTP/1.1\r\nHost", 408),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_of_heads(server, name):
    data, status = REFUSED[name]
    probe: Server = server(*TARGETS["asgi"], *LOG, "--http1-header-read-timeout", "400")
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(data).response().status == status
    check(probe, mark, f"http HTTP/1.1 - -  {status} 0")


HANDSHAKE = (
    b"GET /ws?q HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BROKEN = b"POST /echo?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX"


def test_refusals_of_requests_say_what_was_asked(server):
    probe: Server = server(*TARGETS["asgi"], *LOG)
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(HANDSHAKE).response().status == 426
    check(probe, mark, "http HTTP/1.1 GET /ws q 426 0")
    other: Server = server(*TARGETS["asgi"], *LOG, "--http", "2")
    mark = other.mark()
    with other.connect() as wire:
        assert wire.request("GET", "/x").response().status == 505
    check(other, mark, "http HTTP/1.1 GET /x  505 0")


@pytest.mark.parametrize("interface", TARGETS)
def test_broken_bodies_say_what_was_asked(server, interface):
    """Whether the application was called (ASGI, RSGI, threads) or waits for the whole body (inline)."""
    probe: Server = server(*TARGETS[interface], *LOG)
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(BROKEN).response().status == 400
    check(probe, mark, "http HTTP/1.1 POST /echo q 400 0")


def test_refusals_over_http2(server):
    probe: Server = server(*TARGETS["asgi"], *LOG)
    mark = probe.mark()
    with H2Wire(probe.address, validate=False) as wire:
        number = wire.h2.get_next_available_stream_id()
        wire.h2.send_headers(number, [(":method", "CONNECT"), (":authority", "a.test:80")])
        wire.answers[number] = Answer()
        wire.flush()
        assert wire.answer(number).status == 501
        bad = [(":protocol", "websocket"), ("sec-websocket-version", "12")]
        number = wire.start("CONNECT", "/ws?q", *bad, end=False)
        assert wire.answer(number).status == 400
    check(probe, mark, "http HTTP/2 CONNECT a.test:80  501 0", "http HTTP/2 GET /ws q 400 0")


def test_redirects(server, tmp_path):
    files = Files.make(tmp_path)
    probe: Server = server("tls_apps:asgi", "asgi", *files.options, *LOG, "--ssl-redirect-port", "0")
    port = int(probe.wait_line(r"Redirecting to https at: http://127\.0\.0\.1:(\d+)$")[1])
    mark = probe.mark()
    with Wire(("127.0.0.1", port)) as wire:
        assert wire.request("GET", "/x?y").response().status == 308
        assert wire.request("OPTIONS", "*").response().status == 400
        assert wire.send(b"nonsense\r\n\r\n").response().status == 400
    check(
        probe,
        mark,
        "http HTTP/1.1 GET /x y 308 0",
        "http HTTP/1.1 OPTIONS *  400 0",
        "http HTTP/1.1 - -  400 0",
    )


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_bytes_to_a_client_that_is_gone_do_not_count(server, interface):
    probe: Server = server(*TARGETS[interface], *LOG)
    mark = probe.mark()
    send, gone = {
        "asgi": ("await body(b'x' * 100, {})", "while (await receive())['type'] != 'http.disconnect': pass"),
        "rsgi": ("t.send_bytes(b'x' * 100)", "await protocol.client_disconnect()"),
    }[interface]
    first = {"asgi": "await start()", "rsgi": "t = protocol.response_stream()"}[interface]
    wire = probe.connect()
    wire.request("GET", "/script", script(first, send.format(True), gone, send.format(False)))
    assert wire.head().status == 200
    assert wire.chunk() == b"x" * 100
    wire.reset()
    check(probe, mark, "http HTTP/1.1 GET /script  200 100")


def test_connection_without_a_request_has_no_line(server):
    probe: Server = server(*TARGETS["asgi"], *LOG)
    mark = probe.mark()
    with probe.connect() as wire:
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.rest() == b""
    assert probe.get("/").body == b"hello"
    check(probe, mark, "http HTTP/1.1 GET /  200 5")
