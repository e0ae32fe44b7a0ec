"""HTTP/1 framing: what is accepted, what is refused with which status, what stays open."""

from __future__ import annotations

import json
import re

import pytest

from .server import Server
from .wire import Incomplete, request_bytes

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def probe(server) -> Server:
    return server("asgi_probe:app", "asginl")


def head(*lines: str, start: str = "GET / HTTP/1.1", host: str = "Host: a\r\n") -> bytes:
    return (f"{start}\r\n{host}" + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")


CHUNKED = "Transfer-Encoding: chunked"
REFUSED = {
    "no version": (b"GET /\r\nHost: a\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "no http": (b"GET / SPDY/1.1\r\nHost: a\r\n\r\n", 400),
    "http 1.2": (head(start="GET / HTTP/1.2"), (400, 505)),
    "http 3.0": (head(start="GET / HTTP/3.0"), (400, 505)),
    "http 1.10": (head(start="GET / HTTP/1.10"), 400),
    "space in target": (head(start="GET /a b HTTP/1.1"), 400),
    "non-ASCII target": (head(start="GET /caf\xe9 HTTP/1.1"), 400),
    "control in target": (head(start="GET /a\x01b HTTP/1.1"), 400),
    "target without slash": (head(start="GET foo HTTP/1.1"), 400),
    "connect": (head(start="CONNECT a:80 HTTP/1.1"), (400, 405, 501)),
    "method with bad byte": (head(start="G(T / HTTP/1.1"), 400),
    "missing host": (head(host=""), 400),
    "two hosts": (head("Host: a"), 400),
    "two different hosts": (head("Host: b"), 400),
    "invalid host": (head(host="Host: a b\r\n"), 400),
    "folded header": (head("X-A: 1", " 2"), 400),
    "space before colon": (head("X-A : 1"), 400),
    "space before name": (head(host=" Host: a\r\n"), 400),
    "no colon": (head("nonsense"), 400),
    "empty name": (head(": 1"), 400),
    "NUL in value": (head("X-A: a\0b"), 400),
    "control in value": (head("X-A: a\x01b"), 400),
    "bare CR in value": (head("X-A: a\rb"), 400),
    "bare LF everywhere": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare LF after the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare LF after a header": (b"GET / HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n", 400),
    "bare LF at the end": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    "different lengths": (head("Content-Length: 3", "Content-Length: 4") + b"abcd", 400),
    "list of lengths": (head("Content-Length: 3, 4") + b"abcd", 400),
    "length with sign": (head("Content-Length: +3") + b"abc", 400),
    "negative length": (head("Content-Length: -3"), 400),
    "length with underscore": (head("Content-Length: 1_0") + b"x" * 10, 400),
    "hex length": (head("Content-Length: 0x3") + b"abc", 400),
    "empty length": (head("Content-Length: "), 400),
    "huge length": (head("Content-Length: 99999999999999999999"), (400, 413)),
    "length and chunked": (head("Content-Length: 5", CHUNKED) + b"0\r\n\r\n", 400),
    "chunked and length": (head(CHUNKED, "Content-Length: 5") + b"0\r\n\r\n", 400),
    "chunked in 1.0": (head(CHUNKED, start="POST / HTTP/1.0") + b"0\r\n\r\n", 400),
    "chunked twice": (head(CHUNKED, CHUNKED) + b"0\r\n\r\n", 400),
    "chunked not last": (head("Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n", 400),
    "identity": (head("Transfer-Encoding: identity") + b"0\r\n\r\n", (400, 501)),
    "unknown coding": (head("Transfer-Encoding: xchunked") + b"0\r\n\r\n", (400, 501)),
    "gzip, chunked": (head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
    "unknown expectation": (head("Expect: the worst"), 417),
    "long target": (head(start=f"GET /{'a' * 70_000} HTTP/1.1"), 414),
    "large head": (head(*(f"X-{n}: {'v' * 8000}" for n in range(90))), 431),
    "many headers": (head(*(f"X-{n}: v" for n in range(10_000))), 431),
    "endless header": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"v" * 500_000, 431),
    "endless target": (b"GET /" + b"a" * 500_000, (414, 431)),
    "http2 frames": (b"\0\0\x12\x04\0\0\0\0\0\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(probe, name):
    data, expected = REFUSED[name]
    mark = probe.mark()
    with probe.connect() as wire:
        wire.send(data)
        response = wire.response()
        statuses = expected if isinstance(expected, tuple) else (expected,)
        assert response.status in statuses
        assert response.header("connection") == "close"
        assert response.header("date")
        assert wire.rest() == b""
    assert probe.get("/").body == b"hello"
    assert len(probe.lines(mark)) <= 1, "the peer's errors do not fill the log"


def test_refused_after_a_good_request(probe):
    with probe.connect() as wire:
        wire.send(GET + b"nonsense\r\n\r\n" + GET)
        assert wire.response().body == b"hello"
        assert wire.response().status == 400
        assert wire.rest() == b""


ACCEPTED = {
    "plain": head(),
    "no space after colon": head(host="Host:a\r\n"),
    "spaces around value": head(host="Host:  \t a \t \r\n"),
    "leading empty line": b"\r\n" + head(),
    "leading empty lines": b"\r\n\r\n" + head(),
    "lower-case names": head(host="host: a\r\n"),
    "latin-1 value": head("X-A: caf\xe9"),
    "empty value": head("X-A:"),
    "empty host": head(host="Host:\r\n"),
    "lower-case method": head(start="get / HTTP/1.1"),
    "own method": head(start="BREW / HTTP/1.1"),
    "any query": head(start="GET /?a=/?b&%zz HTTP/1.1"),
    "absolute form": head(start="GET http://a/ HTTP/1.1"),
    "absolute form without path": head(start="GET http://a HTTP/1.1"),
    "same length twice": head("Content-Length: 3", "Content-Length: 3") + b"abc",
    "zero length": head("Content-Length: 0"),
    "leading zeros": head("Content-Length: 0003") + b"abc",
    "chunked in capitals": head("Transfer-Encoding: CHUNKED") + b"0\r\n\r\n",
    "upgrade to what nobody speaks": head("Connection: Upgrade", "Upgrade: foo/2"),
    "upgrade to h2c without settings": head("Connection: Upgrade", "Upgrade: h2c"),
    "ninety headers": head(*(f"X-{n}: v" for n in range(90))),
    "target of 16 kB": head(start=f"GET /?{'a' * (16_384 - 2)} HTTP/1.1"),
    "head of 200 kB": head(*(f"X-{n}: {'v' * 5000}" for n in range(40))),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(probe, name):
    with probe.connect() as wire:
        response = wire.send(ACCEPTED[name]).response()
        assert (response.status, response.body) == (200, b"hello")
        assert wire.send(GET).response().body == b"hello"


def test_repeated_equal_lengths_in_one_header(probe):
    """A recipient may refuse `3, 3` or take it for `3`, but not guess."""
    with probe.connect() as wire:
        assert wire.send(head("Content-Length: 3, 3") + b"abc").response().status in (200, 400)


CHUNKS = {
    "bad size": b"zz\r\nabc\r\n0\r\n\r\n",
    "empty size": b"\r\nabc\r\n0\r\n\r\n",
    "size with sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "size with prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size with spaces": b" 3 \r\nabc\r\n0\r\n\r\n",
    "huge size": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "size with bare LF": b"3\nabc\r\n0\r\n\r\n",
    "data too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "data without end": b"3\r\nabcX\r\n0\r\n\r\n",
    "data with bare LF": b"3\r\nabc\n0\r\n\r\n",
    "bare LF in extension": b"3;a=\n\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"a" * 500_000,
    "endless size": b"0" * 500_000,
    "bad trailer": b"3\r\nabc\r\n0\r\nno colon\r\n\r\n",
    "endless trailers": b"0\r\n" + b"X-A: 1\r\n" * 100_000,
}


@pytest.mark.parametrize("name", CHUNKS)
def test_refused_chunks(probe, name):
    """The application never sees a whole body, the client never a success."""
    mark = probe.mark()
    with probe.connect() as wire:
        try:
            wire.send(head(CHUNKED, start="POST /upload HTTP/1.1") + CHUNKS[name])
        except ConnectionError:
            return
        try:
            response = wire.response()
        except Incomplete:
            pass
        else:
            assert response.status in ((400, 413, 431) if "endless" in name else (400,))
            assert response.header("connection") == "close"
        assert wire.rest() == b""
    assert probe.get("/").body == b"hello"
    assert not re.search(r"@upload \d", probe.log(mark))


def test_chunk_extensions_and_trailers_are_skipped(probe):
    body = b'3;a;b=c;d="e f"\r\nabc\r\nA\r\n0123456789\r\n000\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n'
    with probe.connect() as wire:
        wire.send(head(CHUNKED, start="POST /echo HTTP/1.1") + body + GET)
        assert wire.response().body == b"abc0123456789"
        assert wire.response().body == b"hello"


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("http://example.com/scope", "/scope", "example.com"),
        ("http://example.com:81/scope?a=b", "/scope", "example.com:81"),
        ("HTTP://example.com/scope", "/scope", "example.com"),
    ],
)
def test_absolute_form(probe, target, path, host):
    with probe.connect() as wire:
        wire.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        scope = json.loads(wire.response().body)["scope"]
    assert (scope["path"], scope["raw_path"]) == (path, {"bytes": path})
    assert scope["query_string"] == {"bytes": "a=b" if "?" in target else ""}
    assert [{"bytes": "host"}, {"bytes": host}] in scope["headers"]


def test_options_asterisk(probe):
    scope = json.loads(probe.request("OPTIONS", "*").body)["scope"]
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("OPTIONS", "*", {"bytes": "*"})


@pytest.mark.parametrize("size", [1, 7, 100])
def test_request_in_small_pieces(probe, size):
    data = request_bytes("POST", "/echo", "X-A: 1", body=b"hello") + GET
    with probe.connect() as wire:
        for at in range(0, len(data), size):
            wire.send(data[at : at + size])
        assert wire.response().body == b"hello"
        assert wire.response().body == b"hello"


SPLIT = {
    "length": request_bytes("POST", "/echo", "X-A: b", body=b"body") + GET,
    "chunked": head(CHUNKED, start="POST /echo HTTP/1.1") + b"2;x\r\nbo\r\n2\r\ndy\r\n0\r\nT: 1\r\n\r\n" + GET,
}


@pytest.mark.parametrize("name", SPLIT)
def test_every_split_of_a_request(probe, name):
    """All first halves are in before any second half goes out."""
    data = SPLIT[name]
    wires = [probe.connect().send(data[:at]) for at in range(1, len(data))]
    assert probe.get("/").body == b"hello"
    for at, wire in enumerate(wires, 1):
        wire.send(data[at:])
    for wire in wires:
        with wire:
            assert wire.response().body == b"body"
            assert wire.response().body == b"hello"
