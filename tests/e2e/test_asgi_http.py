"""ASGI over HTTP/1.1: what the application sends and receives, seen on the wire."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from .server import Server, script


@pytest.fixture
def probe(server, loop) -> Server:
    return server("asgi_probe:app", "asginl", loop=loop)


def test_simple_response(probe):
    response = probe.get("/")
    assert (response.version, response.status, response.reason) == ("HTTP/1.1", 200, "OK")
    assert response.body == b"hello"
    names = [name for name, _ in response.headers]
    assert sorted(names) == ["content-length", "content-type", "date", "server"]
    assert response.header("content-length") == "5"
    assert response.header("content-type") == "text/plain"
    assert response.header("server") == "granian"
    parsed = time.strptime(response.header("date"), "%a, %d %b %Y %H:%M:%S GMT")
    assert abs(time.mktime(parsed) - time.mktime(time.gmtime())) < 5


def test_own_server_and_date_headers_stay(probe):
    response = probe.get("/headers?h=Server:mine&h=Date:today")
    assert response.header("server") == "mine"
    assert response.header("date") == "today"


def test_repeated_headers_keep_their_order(probe):
    response = probe.get("/headers?h=Set-Cookie:a=1&h=X-Other:x&h=Set-Cookie:b=2")
    assert response.all("set-cookie") == ["a=1", "b=2"]
    assert ("set-cookie", "a=1") in response.headers


def test_latin1_header_value(probe):
    steps = ["await start(200, [(b'x-name', b'caf\\xe9')])", "await body(b'')"]
    response = probe.get("/script", script(*steps))
    assert response.header("x-name") == "caf\xe9"


@pytest.mark.parametrize(
    "start",
    [
        "{'type': 'http.response.start', 'status': 200}",
        "{'type': 'http.response.start', 'status': 200, 'headers': iter([[b'a', b'1']])}",
        "{'type': 'http.response.start', 'status': 200, 'headers': ((b'a', b'1'),)}",
        "{'type': 'http.response.start', 'status': 200, 'headers': [[b'a', b'1']], 'more': 1}",
    ],
)
def test_accepted_heads(probe, start):
    response = probe.get("/script", script(f"await send({start})", "await body(b'x')"))
    assert (response.status, response.body) == (200, b"x")
    assert response.header("a") == ("1" if "headers" in start else None)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{'type': 'http.response.body', 'body': bytearray(b'abc')}", b"abc"),
        ("{'type': 'http.response.body', 'body': memoryview(b'abcdef')[2:4]}", b"cd"),
        ("{'type': 'http.response.body'}", b""),
        ("{'type': 'http.response.body', 'body': b'abc', 'more_body': False}", b"abc"),
    ],
)
def test_accepted_bodies(probe, message, expected):
    response = probe.get("/script", script("await start()", f"await send({message})"))
    assert response.status == 200
    assert response.header("content-length") == str(len(expected))
    assert response.body == expected


def test_body_changed_after_send_leaves_as_sent(probe):
    steps = ["b = bytearray(b'abc')", "await start()", "await body(b, True)", "b[:] = b'xyz'"]
    response = probe.get("/script", script(*steps, "await body(b'', False)"))
    assert response.body == b"abc"


def test_stream_is_chunked(probe):
    response = probe.get("/stream?n=3&size=10")
    assert response.header("transfer-encoding") == "chunked"
    assert response.header("content-length") is None
    assert response.body == b"a" * 10 + b"b" * 10 + b"c" * 10


def test_stream_with_content_length_is_not_chunked(probe):
    response = probe.get("/stream?n=3&size=10&length=1")
    assert response.header("transfer-encoding") is None
    assert response.header("content-length") == "30"
    assert response.body == b"a" * 10 + b"b" * 10 + b"c" * 10


def test_empty_chunks_are_not_framed(probe):
    steps = ["await start()", "await body(b'a', True)", "await body(b'', True)"]
    response = probe.get("/script", script(*steps, "await body(b'b', True)", "await body()"))
    assert response.body == b"ab"
    assert b"" not in response.chunks


@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream", "application/octet-stream"])
def test_lonely_head_leaves_within_100_ms(probe, kind):
    delays = []
    for attempt in range(10):
        gate = f"head-{kind.partition('/')[2]}-{attempt}"
        with probe.connect() as wire:
            started = time.monotonic()
            wire.request("GET", f"/head?type={kind}&gate={gate}")
            head = wire.head()
            delays.append(time.monotonic() - started)
            assert head.status == 200
            assert head.header("content-type") == kind
            probe.get(f"/open/{gate}")
            assert b"done" in wire.send(b"").exactly(4 if head.header("content-length") else 9)
    assert min(delays) < 0.12, delays


def test_chunks_are_not_held_back(probe):
    with probe.connect() as wire:
        wire.request("GET", "/chunks?gate=chunks")
        assert wire.head().status == 200
        assert wire.chunk() == b"chunk 0"
        probe.get("/open/chunks1")
        assert wire.chunk() == b"chunk 1"
        probe.get("/open/chunks2")
        assert wire.chunk() == b"chunk 2"
        assert wire.chunk() == b""


def test_head_request(probe):
    with probe.connect() as wire:
        head = wire.request("HEAD", "/").response("HEAD")
        assert head.header("content-length") == "5"
        streamed = wire.request("HEAD", "/stream").response("HEAD")
        assert streamed.status == 200
        assert wire.request("GET", "/").response().body == b"hello"


@pytest.mark.parametrize("code", [204, 304])
def test_status_without_body(probe, code):
    with probe.connect() as wire:
        response = wire.request("GET", f"/status?code={code}").response()
        assert response.status == code
        assert response.header("content-length") is None
        assert response.header("transfer-encoding") is None
        assert wire.request("GET", "/").response().body == b"hello"


def test_reset_content_has_an_empty_body(probe):
    """RFC 9110, 15.3.6: whatever the application sends and declares."""
    with probe.connect() as wire:
        for fields in ("[]", "[(b'content-length', b'9')]"):
            steps = (f"await start(205, {fields})", "await body(b'hello')")
            response = wire.request("GET", "/script", script(*steps)).response()
            assert (response.status, response.header("content-length")) == (205, "0")
        assert wire.request("GET", "/").response().body == b"hello"


@pytest.mark.parametrize("code", [200, 201, 299, 404, 418, 499, 500, 599, 600, 999])
def test_any_final_status(probe, code):
    response = probe.get(f"/status?code={code}")
    assert (response.status, response.body) == (code, b"body")


@pytest.mark.parametrize("size", [0, 1, 5000, 65536, 3_000_000])
def test_echo(probe, size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with probe.connect() as wire:
        assert wire.request("POST", "/echo", body=body).response().body == body
        assert wire.request("GET", "/").response().body == b"hello"


def test_echo_of_chunked_request(probe):
    with probe.connect() as wire:
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire.send(head + b"5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert wire.response().body == b"hello, world"
        assert wire.request("GET", "/").response().body == b"hello"


def test_echo_while_the_request_still_comes(probe):
    with probe.connect() as wire:
        wire.send(b"POST /echo/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        assert wire.head().header("transfer-encoding") == "chunked"
        assert wire.chunk() == b"abc"
        wire.send(b"def")
        assert wire.chunk() == b"def"
        assert wire.chunk() == b""


def test_messages_without_a_body(probe):
    mark = probe.mark()
    with probe.connect() as wire:
        wire.request("GET", "/messages")
        messages = json.loads(wire.response().body)
        assert messages == [{"type": "http.request", "body": {"bytes": ""}, "more_body": False}]
        after = probe.note("after", mark)
        assert after == [{"type": "http.disconnect"}] * 3
        assert wire.request("GET", "/").response().body == b"hello"


def test_messages_of_a_body(probe):
    messages = json.loads(probe.request("POST", "/messages", body=b"a" * 100_000).body)
    assert {message["type"] for message in messages} == {"http.request"}
    assert "".join(message["body"]["bytes"] for message in messages) == "a" * 100_000
    assert [message["more_body"] for message in messages] == [True] * (len(messages) - 1) + [False]


def test_pathsend(probe, tmp_path):
    content = bytes(range(256)) * 2000
    path = tmp_path / "file"
    path.write_bytes(content)
    response = probe.get(f"/file?path={path}")
    assert (response.status, response.body) == (200, content)
    assert response.header("content-length") == str(len(content))


def test_pathsend_of_an_empty_file(probe, tmp_path):
    (tmp_path / "empty").touch()
    response = probe.get(f"/file?path={tmp_path}/empty")
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("name", ["missing", "."])
def test_pathsend_of_what_is_no_file(probe, tmp_path: Path, name):
    response = probe.get(f"/file?path={tmp_path}/{name}")
    assert (response.status, response.body) == (404, b"Not found")
    assert response.header("server") == "granian"


def test_concurrent_requests_do_not_wait_for_each_other(probe):
    mark = probe.mark()
    with probe.connect() as slow:
        slow.request("GET", "/wait?gate=concurrent")
        probe.note("waiting", mark)
        assert probe.get("/").body == b"hello"
        probe.get("/open/concurrent")
        assert slow.response().body == b"concurrent"
