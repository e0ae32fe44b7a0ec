"""The upgrade from HTTP/1.1 to HTTP/2 (RFC 7540, 3.2): who gets it, who does not, and what may go wrong after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .h2wire import PREFACE, H2Wire, frame, frames_of
from .server import Server, script
from .test_http2_clients import run
from .tls import Files, TlsWire, context

APP = "asgi_probe:app"
OPTION = "--http2-upgrade"
CONNECTION = b"connection: Upgrade, HTTP2-Settings\r\n"
UPGRADE = b"upgrade: h2c\r\n"
SETTINGS = b"http2-settings: AAMAAABkAAQAAP__\r\n"
DATA_FRAME, HEADERS_FRAME, SETTINGS_FRAME = 0, 1, 4


def request(line: bytes = b"GET / HTTP/1.1", *fields: bytes) -> bytes:
    asks = CONNECTION + UPGRADE + b"http2-settings: %s\r\n"
    return line + b"\r\nhost: a.example\r\n" + asks + b"".join(fields) + b"\r\n"


@pytest.fixture
def probe(server: ServerFactory) -> Server:
    return server(APP, "asgi", OPTION)


@pytest.mark.parametrize(("app", "interface"), [(APP, "asgi"), ("rsgi_probe:app", "rsgi"), ("wsgi_probe:app", "wsgi")])
def test_only_where_it_is_asked_for(server: ServerFactory, app: str, interface: str) -> None:
    """A proxy that forwards the upgrade would let all that follows it pass unseen."""
    probe = server(app, interface)
    with probe.connect() as wire:
        for _ in range(2):
            wire.send(b"GET / HTTP/1.1\r\nhost: h\r\n" + CONNECTION + UPGRADE + SETTINGS + b"\r\n")
            response = wire.response("GET")
            assert (response.version, response.status, response.body) == ("HTTP/1.1", 200, b"hello")
    with H2Wire(probe.address) as prior:
        assert prior.request("GET", "/").body == b"hello"


def test_the_request_is_stream_1(probe: Server) -> None:
    asks = request(b"GET /scope?a=b%20c HTTP/1.1", b"cookie: a=b\r\n", b"x-long: " + b"v" * 5000 + b"\r\n")
    with H2Wire(probe.address, upgrade=asks) as wire:
        assert b"\r\nconnection: upgrade\r\nupgrade: h2c" in wire.switch.lower()
        scope = json.loads(wire.answer(1).body)["scope"]
        assert (scope["http_version"], scope["method"], scope["scheme"]) == ("2", "GET", "http")
        assert (scope["path"], scope["query_string"]) == ("/scope", {"bytes": "a=b%20c"})
        fields = [(name["bytes"], value["bytes"]) for name, value in scope["headers"]]
        assert fields == [("host", "a.example"), ("x-long", "v" * 5000), ("cookie", "a=b")]
        # And the connection is one of HTTP/2 like any other.
        assert wire.request("POST", "/echo", body=b"x" * 100_000).body == b"x" * 100_000
        wire.h2.ping(b"12345678")
        wire.flush()


def test_head_and_a_large_response(probe: Server) -> None:
    with H2Wire(probe.address, upgrade=request(b"HEAD / HTTP/1.1")) as wire:
        assert (wire.answer(1).status, wire.answer(1).body) == (200, b"")
    with H2Wire(probe.address, upgrade=request(b"GET /stream?n=30&size=10000 HTTP/1.1")) as wire:
        assert len(wire.answer(1).body) == 300_000


def test_behind_other_requests(probe: Server) -> None:
    """A connection that has been used for HTTP/1.1 may still be upgraded."""
    with probe.connect() as first:
        assert first.request("GET", "/").response().body == b"hello"
        first.send(b"GET / HTTP/1.1\r\nhost: h\r\n" + CONNECTION + UPGRADE + SETTINGS + b"\r\n")
        assert first.head().status == 101


@pytest.mark.parametrize(
    "fields",
    [
        CONNECTION + UPGRADE,
        CONNECTION + UPGRADE + SETTINGS + SETTINGS,
        CONNECTION + UPGRADE + b"http2-settings: AAMAAABk=\r\n",
        CONNECTION + UPGRADE + b"http2-settings: AAMAAABkAA\r\n",
        CONNECTION + b"upgrade: h2\r\n" + SETTINGS,
        b"connection: upgrade\r\n" + UPGRADE + SETTINGS,
        b"connection: http2-settings\r\n" + UPGRADE + SETTINGS,
        CONNECTION + UPGRADE + SETTINGS + b"x-long: " + b"v" * 17_000 + b"\r\n",
    ],
    ids=["none", "two", "padding", "length", "token", "one-option", "other-option", "too-long"],
)
def test_what_is_not_in_due_form_is_ignored(probe: Server, fields: bytes) -> None:
    with probe.connect() as wire:
        for _ in range(2):
            wire.send(b"GET / HTTP/1.1\r\nhost: h\r\n" + fields + b"\r\n")
            response = wire.response("GET")
            assert (response.version, response.status, response.body) == ("HTTP/1.1", 200, b"hello")


def test_a_request_with_a_body_stays(probe: Server) -> None:
    asks = b"host: h\r\n" + CONNECTION + UPGRADE + SETTINGS
    with probe.connect() as wire:
        wire.send(b"POST /echo HTTP/1.1\r\n" + asks + b"content-length: 3\r\n\r\nabc")
        assert wire.response("POST").body == b"abc"
        wire.send(b"POST /echo HTTP/1.1\r\n" + asks + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert wire.response("POST").body == b"abc"


@pytest.mark.parametrize(("version", "status"), [("1", 200), ("2", 505)])
def test_only_where_both_versions_are_spoken(server: ServerFactory, version: str, status: int) -> None:
    with server(APP, "asgi", OPTION, "--http", version).connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nhost: h\r\n" + CONNECTION + UPGRADE + SETTINGS + b"\r\n")
        assert wire.response("GET").status == status


def test_not_over_tls(server: ServerFactory, tmp_path: Path) -> None:
    """> The string "h2c" identifies the protocol where HTTP/2 is run over cleartext TCP. — RFC 7540, 3.1"""
    files = Files.make(tmp_path)
    with TlsWire(server("tls_apps:asgi", "asgi", OPTION, *files.options), context(files.authority)) as wire:
        wire.send(b"GET / HTTP/1.1\r\nhost: h\r\n" + CONNECTION + UPGRADE + SETTINGS + b"\r\n")
        assert wire.response("GET").status == 200


# After the 101.


NOTES = script("await start()", "await body(b'x')").encode() + b"\r\n"


def switched(probe: Server, behind: bytes) -> bytes:
    """What follows the 101 when the client goes on with these bytes and ends."""
    with probe.connect() as wire:
        wire.send(b"GET /script HTTP/1.1\r\nhost: h\r\n" + NOTES + CONNECTION + UPGRADE + SETTINGS + b"\r\n" + behind)
        assert wire.head().status == 101
        wire.half_close()
        return wire.rest()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_client_that_does_not_wait_for_the_101(probe: Server, size: int) -> None:
    """Its preface follows the request at once, and other requests with it, in pieces of any size."""
    get = b"\x82\x86\x84\x41\x01h"
    more = PREFACE + frame(SETTINGS_FRAME, 0, 0, b"\0\4\0\1\0\0") + frame(HEADERS_FRAME, 5, 3, get)
    with probe.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nhost: h\r\n" + CONNECTION + UPGRADE + SETTINGS + b"\r\n")
        for at in range(0, len(more), size):
            wire.send(more[at : at + size])
        assert wire.head().status == 101
        heads = []
        while not heads or heads[-1] != (DATA_FRAME, 3):
            length = int.from_bytes(wire.exactly(3), "big")
            (seen,) = frames_of(length.to_bytes(3, "big") + wire.exactly(6 + length))
            heads.append((seen.kind, seen.stream))
        assert heads.index((HEADERS_FRAME, 1)) < heads.index((HEADERS_FRAME, 3))


@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, PREFACE[:10], PREFACE], ids=range(5))
def test_garbage_after_it_ends_the_connection(probe: Server, behind: bytes) -> None:
    mark = probe.mark()
    assert HEADERS_FRAME not in [seen.kind for seen in frames_of(switched(probe, behind))]
    probe.check()
    assert probe.get("/").status == 200
    assert "@script" not in probe.log(mark)


def test_stream_1_is_not_the_clients_to_open(probe: Server) -> None:
    with H2Wire(probe.address, upgrade=request(), validate=False) as wire:
        wire.answer(1)
        wire.socket.sendall(frame(HEADERS_FRAME, 5, 1, b"\x82\x86\x84\x41\x01h"))
        assert wire.until_closed() not in (None, 0)


def test_it_is_bounded_like_other_requests(server: ServerFactory) -> None:
    """By the size of its header section, and by the time that the preface may take."""
    limits = ("--http2-max-headers-size", "4000", "--http1-header-read-timeout", "300")
    probe = server(APP, "asgi", OPTION, *limits)
    asks = request(b"GET / HTTP/1.1", b"x-long: " + b"v" * 5000 + b"\r\n")
    with H2Wire(probe.address, upgrade=asks) as wire:
        assert wire.answer(1).status == 431
    with probe.connect() as silent:
        silent.send(b"GET / HTTP/1.1\r\nhost: h\r\n" + CONNECTION + UPGRADE + SETTINGS + b"\r\n")
        assert silent.head().status == 101
        assert HEADERS_FRAME not in [seen.kind for seen in frames_of(silent.rest())]


# Clients.


def test_curl(probe: Server) -> None:
    curl = ["curl", "--http2", "--silent", "--include", "--max-time", "20"]
    answer = run(*curl, probe.url)
    assert answer.startswith("HTTP/1.1 101 Switching Protocols\r\n")
    assert "\r\n\r\nHTTP/2 200 \r\n" in answer
    assert answer.endswith("\r\n\r\nhello")
    assert run(*curl, "--data-binary", "@-", f"{probe.url}/echo", body=b"abc").endswith("\r\n\r\nabc")


def test_nghttp(probe: Server) -> None:
    said = run("nghttp", "--upgrade", "--verbose", "--no-dep", f"{probe.url}/stream?n=3&size=2000")
    assert "HTTP Upgrade success" in said
    assert "recv (stream_id=1) :status: 200" in said
