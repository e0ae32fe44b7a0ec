"""Server push over HTTP/2 (RFC 9113, 8.4): ASGI's `http.response.push` and RSGI's `push`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire, frame
from .server import PLACED, Server, script
from .test_http2_clients import run
from .tls import Files, context

HEADERS, RST_STREAM, PUSH_PROMISE = 1, 3, 5
ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 2, 3
CANCEL = 8
START, BODY = "await start()", "await body(b'page')"


@pytest.fixture
def probe(server: ServerFactory) -> Server:
    return server("asgi_probe:app")


def push(path: str, headers: str = "[]") -> str:
    return f"await send({{'type': 'http.response.push', 'path': {path!r}, 'headers': {headers}}})"


def steps(*lines: str) -> tuple[str, str]:
    name, _, value = script(*lines).partition(": ")
    return name, value


def pushing(*paths: str) -> tuple[str, str]:
    return steps(START, *(push(path) for path in paths), BODY)


def scope_of(body: bytes) -> dict[str, Any]:
    scope: dict[str, Any] = json.loads(body)["scope"]
    return scope


def test_a_push_is_an_ordinary_request(probe: Server) -> None:
    given = "[(b'Accept', b'text/css'), (b'host', b'elsewhere'), (b'content-length', b'3')]"
    with H2Wire(probe.address) as wire:
        page = wire.request("GET", "/script", steps(START, push("/scope?a=ä b", given), BODY))
        assert (page.status, page.body) == (200, b"page")
        # Without eager tasks (before CPython 3.12), or on threads of connections, the head may leave with the push,
        # before the body is known.
        is_whole = sys.version_info >= (3, 12) and not PLACED
        assert page.header("content-length") in (["4"] if is_whole else ["4", None])
        assert dict(wire.pushed[2]) == {
            ":method": "GET",
            ":scheme": "http",
            ":authority": "h",
            ":path": "/scope?a=%C3%A4%20b",
            "accept": "text/css",
        }
        scope = scope_of(wire.answer(2).body)
        assert (scope["method"], scope["http_version"], scope["scheme"]) == ("GET", "2", "http")
        assert (scope["path"], scope["query_string"]) == ("/scope", {"bytes": "a=%C3%A4%20b"})
        fields = [(name["bytes"], value["bytes"]) for name, value in scope["headers"]]
        assert fields == [("host", "h"), ("accept", "text/css")]
        # > PUSH_PROMISE frames MUST only be sent on a peer-initiated stream — RFC 9113, 6.6
        assert "http.response.push" not in scope["extensions"]
        # > [...] prior to sending any frames that reference the promised responses. — RFC 9113, 8.4.1
        assert wire.seen.index((PUSH_PROMISE, 1)) < wire.seen.index((HEADERS, 1))


def test_several_and_again(probe: Server) -> None:
    with H2Wire(probe.address) as wire:
        for turn in range(20):
            assert wire.request("GET", "/script", pushing("/", "/stream?n=3&size=20000")).body == b"page"
            assert wire.answer(4 * turn + 2).body == b"hello"
            assert len(wire.answer(4 * turn + 4).body) == 60_000


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204])
def test_beside_a_response_without_a_body(probe: Server, method: str, status: int) -> None:
    lines = [f"await start({status})", push("/"), "await body()"]
    with H2Wire(probe.address) as wire:
        page = wire.request(method, "/script", steps(*lines))
        assert (page.status, page.body) == (status, b"")
        assert wire.answer(2).body == b"hello"


def test_before_the_response_and_from_a_request_with_a_body(probe: Server) -> None:
    with H2Wire(probe.address) as wire:
        number = wire.start("POST", "/script", steps(push("/"), "await receive()", START, BODY), end=False)
        while 2 not in wire.answers:
            assert wire.step()
        assert wire.answer(2).body == b"hello"
        wire.data(number, b"x", end=True)
        assert wire.answer(number).body == b"page"


def test_over_tls(server: ServerFactory, tmp_path: Path) -> None:
    files = Files.make(tmp_path)
    secured = server("asgi_probe:app", "asgi", *files.options)
    with H2Wire(secured.address, context=context(files.authority, alpn=("h2",))) as wire:
        assert wire.request("GET", "/script", pushing("/scope")).body == b"page"
        assert dict(wire.pushed[2])[":scheme"] == "https"
        assert scope_of(wire.answer(2).body)["scheme"] == "https"


def test_rsgi(server: ServerFactory) -> None:
    probe = server("rsgi_probe:app", "rsgi")
    lines = ["protocol.push('/', [('accept', 'text/css')])", "await protocol.push('/')", "protocol.push('x')"]
    lines += ["protocol.push('/', [('a', 'b\\n')])", "protocol.response_str(200, [], 'page')", "protocol.push('/')"]
    mark = probe.mark()
    with H2Wire(probe.address) as wire:
        assert wire.request("GET", "/script", steps(*lines)).body == b"page"
        assert dict(wire.pushed[2])["accept"] == "text/css"
        assert wire.answer(2).status == wire.answer(4).status == 200
        assert probe.note("script", mark) == [
            "ok",
            "ok",
            "ValueError: the path must begin with a slash",
            "ValueError: invalid characters in a header value",
            "ok",
            "ProtocolError: Response already finished",
        ]
        assert len(wire.pushed) == 2


def test_nghttp(probe: Server) -> None:
    name, value = pushing("/")
    said = run("nghttp", "--verbose", "--no-dep", "--header", f"{name}: {value}", f"{probe.url}/script")
    assert "recv PUSH_PROMISE frame" in said
    assert "recv (stream_id=2) :status: 200" in said
    assert "hello" in said and "page" in said


# Where it does not work.


@pytest.mark.parametrize("settings", [{ENABLE_PUSH: 0}, {MAX_CONCURRENT_STREAMS: 0}], ids=["disabled", "no-streams"])
def test_a_client_that_takes_none(probe: Server, settings: dict[int, int]) -> None:
    with H2Wire(probe.address, settings=settings) as wire:
        assert "http.response.push" not in scope_of(wire.request("GET", "/scope").body)["extensions"]
        mark = probe.mark()
        assert wire.request("GET", "/script", pushing("/")).body == b"page"
        assert probe.note("script", mark) == ["ok"] * 3
        assert not wire.pushed
    with H2Wire(probe.address) as wire:
        assert scope_of(wire.request("GET", "/scope").body)["extensions"]["http.response.push"] == {}


def test_a_client_that_changes_its_mind(probe: Server) -> None:
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/script", pushing("/"))
        wire.h2.update_settings({ENABLE_PUSH: 0})
        wire.flush()
        assert wire.request("GET", "/script", pushing("/")).body == b"page"
        assert list(wire.pushed) == [2]


def test_http1_ignores_it(probe: Server) -> None:
    assert "http.response.push" not in scope_of(probe.get("/scope").body)["extensions"]
    mark = probe.mark()
    assert probe.get("/script", script(START, push("/"), BODY)).body == b"page"
    assert probe.note("script", mark) == ["ok"] * 3


def test_faults_of_the_application(probe: Server) -> None:
    mark = probe.mark()
    lines = [push("a.css"), push("/", "[('a', 'b')]"), push("/", "[(b':path', b'/')]")]
    lines += ["await send({'type': 'http.response.push'})", START, BODY, push("/")]
    with H2Wire(probe.address) as wire:
        assert wire.request("GET", "/script", steps(*lines)).body == b"page"
        assert probe.note("script", mark) == [
            "ValueError: the path must begin with a slash",
            "TypeError: header names and values must be bytes-like",
            "ValueError: invalid header name",
            "RuntimeError: Unsupported ASGI message",
            "ok",
            "ok",
            "RuntimeError: ASGI flow error: Response already finished",
        ]
        # One that fails behind its pushes: they go on.
        page = wire.request("GET", "/script", steps(START, push("/"), "!1/0"))
        assert page.reset is not None or page.status == 500
        assert wire.answer(2).body == b"hello"


# Bounds.


def test_no_more_than_the_client_takes(probe: Server) -> None:
    waits = "/wait?gate=push-limit"
    with H2Wire(probe.address, settings={MAX_CONCURRENT_STREAMS: 2}) as wire:
        assert wire.request("GET", "/script", pushing(*[waits] * 5)).body == b"page"
        assert sorted(wire.pushed) == [2, 4]
        probe.get("/open/push-limit")
        assert wire.answer(2).status == wire.answer(4).status == 200
        assert wire.request("GET", "/script", pushing("/")).body == b"page"
        assert wire.answer(max(wire.pushed)).body == b"hello"


def test_no_more_than_a_hundred(probe: Server) -> None:
    waits = "/wait?gate=push-many"
    with H2Wire(probe.address) as wire:
        pushes = f"[{push(waits)} for _ in range(150)]"
        assert wire.request("GET", "/script", steps(START, pushes, BODY)).body == b"page"
        assert len(wire.pushed) == 100
        probe.get("/open/push-many")
        assert all(wire.answer(number).status == 200 for number in wire.pushed)


def test_flow_control(probe: Server) -> None:
    with H2Wire(probe.address, greedy=False) as wire:
        assert wire.request("GET", "/script", pushing("/stream?n=30&size=10000")).body == b"page"
        while len(wire.answers[2].body) < 65_535 - 4:
            assert wire.step()
        assert wire.request("HEAD", "/").status == 200
        assert len(wire.answers[2].body) == 65_535 - 4
        wire.h2.increment_flow_control_window(1_000_000)
        wire.h2.increment_flow_control_window(1_000_000, 2)
        wire.flush()
        assert len(wire.answer(2).body) == 300_000


# The client's resets, at any time.


def test_a_push_is_taken_back(probe: Server) -> None:
    mark = probe.mark()
    noting = script("note('called')", "note('seen', [(await receive())['type'], (await receive())['type']])")
    header = repr([tuple(part.encode() for part in noting.split(": ", 1))])
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/script", steps(START, push("/script", header), BODY))
        probe.note("called", mark)
        wire.h2.reset_stream(2, CANCEL)
        wire.flush()
        assert probe.note("seen", mark) == ["http.request", "http.disconnect"]
        assert wire.request("GET", "/").body == b"hello"


@pytest.mark.parametrize("path", ["/", "/stream?n=3&size=20000", "/wait?gate=push-reset"])
def test_resets_at_once(probe: Server, path: str) -> None:
    """As browsers do with what they have cached; the connection and its other streams go on."""
    with H2Wire(probe.address, settings={MAX_CONCURRENT_STREAMS: 1000}) as wire:
        for _ in range(100):
            known = len(wire.pushed)
            page = wire.start("GET", "/script", pushing(path, path))
            while len(wire.pushed) < known + 2:
                assert wire.step(), wire.goaway
            for number in sorted(wire.pushed)[known:]:
                wire.socket.sendall(frame(RST_STREAM, 0, number, CANCEL.to_bytes(4, "big")))
            assert wire.answer(page).body == b"page"
        assert wire.request("GET", "/").body == b"hello"
    probe.get("/open/push-reset")


def test_resets_of_what_was_never_promised(probe: Server) -> None:
    """A client that guesses, while nothing leaves because it does not read."""
    guess = frame(RST_STREAM, 0, 2, CANCEL.to_bytes(4, "big"))
    with H2Wire(probe.address, settings={4: 1 << 30}, greedy=False) as wire:
        wire.h2.increment_flow_control_window(1 << 30)
        number = wire.start("GET", "/stream?n=400&size=50000")
        while not wire.answers[number].body:
            assert wire.step()
        script = wire.start("GET", "/script", pushing(*["/"] * 20))
        wire.socket.sendall(guess)
        # Of the stream that was guessed nothing needs to come.
        while not (wire.closed or all(wire.answers[each].ended for each in wire.answers if each != 2)):
            wire.step()
        # Where the kernel had room for the promises, they were made before the guess was read, and it is none.
        assert wire.goaway != 0 if wire.closed else (PUSH_PROMISE, script) in wire.seen
    with H2Wire(probe.address) as wire:
        number = wire.h2.get_next_available_stream_id()
        fields = [(":method", "GET"), (":authority", "h"), (":scheme", "http"), (":path", "/script"), pushing("/")]
        wire.h2.send_headers(number, fields, end_stream=True)
        wire.socket.sendall(wire.h2.data_to_send() + guess)
        assert wire.until_closed() != 0
    probe.check()


def test_a_stop_lets_pushes_finish(server: ServerFactory) -> None:
    probe = server("asgi_probe:app", fresh=True)
    with H2Wire(probe.address, greedy=False) as wire:
        wire.request("GET", "/script", pushing("/stream?n=30&size=10000"))
        while len(wire.answers[2].body) < 60_000:
            assert wire.step()
        probe.terminate()
        while wire.goaway is None:
            assert wire.step()
        wire.h2.increment_flow_control_window(1_000_000)
        wire.h2.increment_flow_control_window(1_000_000, 2)
        wire.flush()
        assert len(wire.answer(2).body) == 300_000
        assert wire.until_closed() == 0
        assert probe.wait_exit() == 0
