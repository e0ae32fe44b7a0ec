"""`wsgi.input` is a proper binary file over the request's body."""

from __future__ import annotations

import re

import pytest

from .h2wire import H2Wire
from .server import Server, script
from .wire import Incomplete

BODY = b"a\nbb\n\nccc"


@pytest.fixture(params=["1", "8"])
def probe(request, server) -> Server:
    return server("wsgi_probe:app", "wsgi", "--blocking-threads", request.param)


CALLS = [
    ("i.read()", BODY),
    ("i.read(-1)", BODY),
    ("i.read(None)", BODY),
    ("i.read(0)", b""),
    ("i.read(3)", b"a\nb"),
    ("i.read(1000)", BODY),
    ("[i.read(1), i.read(), i.read(), i.read(5)]", [b"a", BODY[1:], b"", b""]),
    ("[i.read(1), i.read(2), i.read(100)]", [b"a", b"\nb", b"b\n\nccc"]),
    ("[i.readline() for _ in range(6)]", [b"a\n", b"bb\n", b"\n", b"ccc", b"", b""]),
    ("[i.readline(1), i.readline(1), i.readline(9)]", [b"a", b"\n", b"bb\n"]),
    ("[i.readline(0), i.readline(-1), i.readline(None)]", [b"", b"a\n", b"bb\n"]),
    ("i.readlines()", [b"a\n", b"bb\n", b"\n", b"ccc"]),
    ("i.readlines(None)", [b"a\n", b"bb\n", b"\n", b"ccc"]),
    ("b''.join(i.readlines(3))[:5]", b"a\nbb\n"),
    ("list(i)", [b"a\n", b"bb\n", b"\n", b"ccc"]),
    ("[line for line in i]", [b"a\n", b"bb\n", b"\n", b"ccc"]),
    ("[i.readline(), i.read(2), i.readline(), i.readlines()]", [b"a\n", b"bb", b"\n", [b"\n", b"ccc"]]),
    ("[next(i), i.read()]", [b"a\n", b"bb\n\nccc"]),
    ("[i.readlines(), i.readlines(), i.read(), i.readline()]", [[b"a\n", b"bb\n", b"\n", b"ccc"], [], b"", b""]),
]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("call", "expected"), CALLS)
def test_reading(probe, call, expected, framing):
    steps = ["i = environ['wsgi.input']", f"r = {call}", "start_response('200 OK', [])", "result = [repr(r).encode()]"]
    head = ["POST /script HTTP/1.1", "Host: a", script(*steps)]
    if framing == "length":
        head.append(f"Content-Length: {len(BODY)}")
        body = BODY
    else:
        head.append("Transfer-Encoding: chunked")
        body = b"".join(b"2\r\n%b\r\n" % BODY[at : at + 2] for at in range(0, 8, 2)) + b"1\r\nc\r\n0\r\n\r\n"
    with probe.connect() as wire:
        wire.send("\r\n".join([*head, "", ""]).encode() + body)
        assert wire.response().text == repr(expected)


EMPTY = [("i.read()", b""), ("i.readline()", b""), ("i.readlines()", []), ("list(i)", []), ("i.read(5)", b"")]


@pytest.mark.parametrize(("call", "expected"), EMPTY)
def test_reading_nothing(probe, call, expected):
    steps = ["i = environ['wsgi.input']", f"r = {call}", "start_response('200 OK', [])", "result = [repr(r).encode()]"]
    assert probe.get("/script", script(*steps)).text == repr(expected)


def test_long_lines(probe):
    lines = [b"x" * 100_000 + b"\n", b"y" * 300_000 + b"\n", b"z" * 10]
    steps = [
        "lines = list(environ['wsgi.input'])",
        "start_response('200 OK', [])",
        "result = [repr([len(line) for line in lines]).encode()]",
    ]
    response = probe.request("POST", "/script", script(*steps), body=b"".join(lines))
    assert response.text == repr([100_001, 300_001, 10])


def test_body_that_comes_while_it_is_read(probe):
    with probe.connect() as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
        for _ in range(200):
            wire.send(b"x" * 1000)
        assert wire.response().body == b"x" * 200_000


def test_continue_goes_out_when_the_application_reads(probe):
    with probe.connect() as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert wire.head().status == 100
        assert wire.send(b"hello").response().body == b"hello"


def test_body_left_unread(probe):
    with probe.connect() as wire:
        wire.request("POST", "/", body=b"x" * 100)
        assert wire.response().body == b"hello"
        assert wire.request("GET", "/").response().body == b"hello"


@pytest.mark.parametrize(
    "request_start",
    [
        b"Content-Length: 100\r\n\r\n0123456789",
        b"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n",
        b"Transfer-Encoding: chunked\r\n\r\na\r\n01234",
    ],
)
def test_upload_cut_off_is_an_error(probe, request_start):
    """The application is not called, or its read raises; it never sees a whole body."""
    mark = probe.mark()
    with probe.connect() as wire:
        wire.send(b"POST /upload HTTP/1.1\r\nHost: a\r\n" + request_start)
        wire.half_close()
        try:
            assert wire.response().status in (400, 500)
        except Incomplete as cut:
            assert cut.received == b""
    assert probe.get("/").body == b"hello"
    assert not re.search(r"@upload \[\d+\]$", probe.log(mark), re.MULTILINE)


def test_upload_reset_is_an_error(server):
    probe = server("wsgi_probe:app", "wsgi", "--blocking-threads", "8")
    mark = probe.mark()
    with probe.connect() as wire:
        head = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        assert wire.send(head).head().status == 100
        wire.reset()
    size, error = probe.note("upload", mark)
    assert size == 0
    assert error


def test_slow_uploads_do_not_take_the_threads(server):
    """A thread that reads a body waits for its peer: small bodies are there before the application is called."""
    probe = server("wsgi_probe:app", "wsgi", "--blocking-threads", "2")
    with probe.connect() as one, probe.connect() as two, probe.connect() as quick:
        for slow in (one, two):
            slow.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        assert quick.request("GET", "/").response().body == b"hello"
        for slow in (one, two):
            assert slow.send(b"cd").response().body == b"abcd"


def test_slow_uploads_over_http2_do_not_take_the_threads(server):
    probe = server("wsgi_probe:app", "wsgi", "--blocking-threads", "2")
    with H2Wire(probe.address) as wire:
        slow = [wire.start("POST", "/echo", ("content-length", "4"), end=False) for _ in range(2)]
        for number in slow:
            wire.data(number, b"ab")
        assert wire.request("GET", "/").body == b"hello"
        for number in slow:
            wire.data(number, b"cd", end=True)
            assert wire.answer(number).body == b"abcd"
