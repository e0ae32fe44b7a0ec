"""HTTP/2: requests and responses, flow control, ends of streams and connections, and what a peer may not do."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from h2.settings import SettingCodes

from .conftest import ServerFactory
from .h2wire import PREFACE, Answer, H2Wire, frame
from .server import Server, script
from .wire import DEADLINE

APP = "asgi_probe:app"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL, CALM = 0, 1, 2, 8, 11


@pytest.fixture
def probe(server: ServerFactory, loop: str) -> Server:
    return server(APP, loop=loop)


@pytest.fixture
def wire(probe: Server) -> Any:
    with H2Wire(probe.address) as wire:
        yield wire


def scope_of(answer: Answer) -> dict[str, Any]:
    scope: dict[str, Any] = json.loads(answer.body)["scope"]
    return scope


def fields_of(scope: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name["bytes"], value["bytes"]) for name, value in scope["headers"]]


def wait_until(what: Any, within: float = DEADLINE) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Requests.


def test_hello(wire: H2Wire) -> None:
    answer = wire.request("GET", "/")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.header("content-length") == "5"
    assert answer.header("server") == "granian"
    assert answer.header("date") is not None
    assert answer.header("connection") is None


def test_scope(wire: H2Wire) -> None:
    scope = scope_of(wire.request("GET", "/scope?a=b%20c", ("accept", "*/*")))
    assert scope["http_version"] == "2"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/scope"
    assert scope["query_string"] == {"bytes": "a=b%20c"}
    assert fields_of(scope) == [("host", "h"), ("accept", "*/*")]


def test_cookies_are_joined(wire: H2Wire) -> None:
    cookies = [("cookie", "a=b"), ("x-other", "1"), ("cookie", "c=d")]
    assert ("cookie", "a=b; c=d") in fields_of(scope_of(wire.request("GET", "/scope", *cookies)))


def test_host_without_authority(probe: Server) -> None:
    with H2Wire(probe.address, validate=False) as wire:
        number = wire.start("GET", "/scope", ("host", "example.com"), authority="")
        assert ("host", "example.com") in fields_of(scope_of(wire.answer(number)))


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/", [("host", "other")]),
        ("/", [("host", "h"), ("host", "h")]),
        ("no-slash", []),
        ("/", [("connection", "close")]),
        ("/", [("te", "gzip")]),
        ("/", [("X-Upper", "1")]),
    ],
)
def test_malformed_requests_are_reset(probe: Server, path: str, more: list[tuple[str, str]]) -> None:
    with H2Wire(probe.address, validate=False) as wire:
        number = wire.start("GET", path, *more)
        assert wire.answer(number).reset == PROTOCOL_ERROR
        assert wire.request("GET", "/").body == b"hello"


def test_authority_with_a_user_is_reset(wire: H2Wire) -> None:
    assert wire.answer(wire.start("GET", "/", authority="user@h")).reset == PROTOCOL_ERROR


def test_connect_is_refused(probe: Server) -> None:
    with H2Wire(probe.address, validate=False) as wire:
        number = wire.h2.get_next_available_stream_id()
        wire.h2.send_headers(number, [(":method", "CONNECT"), (":authority", "h:1")], end_stream=True)
        wire.answers[number] = Answer()
        wire.flush()
        assert wire.answer(number).status == 501


def test_many_streams_at_once(wire: H2Wire) -> None:
    waiting = wire.start("GET", "/wait?gate=many")
    numbers = [wire.start("GET", f"/stream?n=3&size={size}") for size in range(1, 100)]
    for size, number in enumerate(numbers, start=1):
        assert wire.answer(number).body == b"a" * size + b"b" * size + b"c" * size
    wire.request("GET", "/open/many")
    assert wire.answer(waiting).body == b"many"


def test_more_streams_than_allowed_are_refused(wire: H2Wire) -> None:
    wire.request("GET", "/")
    wire.h2.remote_settings.update({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
    wire.h2.remote_settings.acknowledge()
    numbers = [wire.start("GET", "/wait?gate=crowd") for _ in range(210)]
    refused = [wire.answer(number) for number in numbers[200:]]
    assert {answer.reset for answer in refused} == {7}
    wire.start("GET", "/open/crowd")


# Bodies.


@pytest.mark.parametrize("size", [0, 1, 16_384, 300_000, 3_000_000])
def test_echo(wire: H2Wire, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    assert wire.request("POST", "/echo", body=body).body == body


def test_request_trailers_end_the_body(wire: H2Wire) -> None:
    number = wire.start("POST", "/echo", end=False)
    wire.h2.send_data(number, b"body")
    wire.h2.send_headers(number, [("x-digest", "1")], end_stream=True)
    wire.flush()
    assert wire.answer(number).body == b"body"


def test_wrong_content_length_is_reset(wire: H2Wire, probe: Server) -> None:
    number = wire.start("POST", "/drain", ("content-length", "10"), end=False)
    wire.h2.send_data(number, b"short", end_stream=True)
    wire.flush()
    assert wire.answer(number).reset == PROTOCOL_ERROR


def test_the_window_stays_shut_until_the_application_reads(server: ServerFactory) -> None:
    probe = server(APP, "asgi", "--http2-initial-stream-window-size", "100000")
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        number = wire.start("POST", "/count?gate=window", end=False)
        sent = 0
        while room := min(wire.h2.local_flow_control_window(number), 16_384):
            wire.h2.send_data(number, b"x" * room)
            wire.flush()
            sent += room
        assert sent == 100_000
        wire.request("GET", "/")
        assert wire.h2.local_flow_control_window(number) == 0
        wire.request("GET", "/open/window")
        wire.data(number, b"x" * 400_000, end=True)
        assert wire.answer(number).body == b"500000"


def test_an_unread_body_does_not_shut_the_connection(wire: H2Wire) -> None:
    for _ in range(5):
        answer = wire.request("POST", "/", body=b"x" * 700_000)
        assert (answer.status, answer.body) == (200, b"hello")


def test_upload_cut_off_by_a_reset(probe: Server, wire: H2Wire) -> None:
    mark = probe.mark()
    number = wire.start("POST", "/upload", end=False)
    wire.h2.send_data(number, b"part")
    wire.request("GET", "/")
    wire.h2.reset_stream(number, CANCEL)
    wire.flush()
    assert probe.note("upload", mark) == "the request was cut off"
    assert wire.request("GET", "/").body == b"hello"


# Responses.


def test_head_has_no_body(wire: H2Wire) -> None:
    answer = wire.request("HEAD", "/")
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "5")


@pytest.mark.parametrize("code", [204, 304])
def test_statuses_without_a_body(wire: H2Wire, code: int) -> None:
    answer = wire.request("GET", f"/status?code={code}")
    assert (answer.status, answer.body, answer.header("content-length")) == (code, b"", None)


def test_streamed_chunks_leave_as_they_are_made(wire: H2Wire) -> None:
    number = wire.start("GET", "/chunks?gate=h2chunks")
    for index in range(3):
        wanted = "".join(f"chunk {n}" for n in range(index + 1)).encode()
        while wire.answers[number].body != wanted:
            assert wire.step()
        if index < 2:
            wire.request("GET", f"/open/h2chunks{index + 1}")
    assert wire.answer(number).ended


def test_a_slow_reader_holds_the_application(probe: Server) -> None:
    with H2Wire(probe.address, greedy=False) as wire, H2Wire(probe.address) as other:
        number = wire.start("GET", "/stream?n=1000&size=10000&name=h2slow")
        while len(wire.answers[number].body) < 65_535:
            assert wire.step()
        made = 0
        wait_until(lambda: made == (made := int(other.request("GET", "/progress?name=h2slow").body)) > 0)
        assert made * 10_000 < 400_000
        wire.greedy = True
        wire.h2.increment_flow_control_window(1_000_000)
        wire.h2.increment_flow_control_window(20_000_000, number)
        wire.flush()
        assert len(wire.answer(number).body) == 10_000_000


def test_trailers(wire: H2Wire, probe: Server) -> None:
    steps = [
        "send({'type': 'http.response.start', 'status': 200, 'headers': [], 'trailers': True})",
        "body(b'data')",
        "send({'type': 'http.response.trailers', 'headers': [(b'grpc-status', b'0')], 'more_trailers': False})",
    ]
    answer = wire.request("GET", "/script", ("te", "trailers"), ("x-script", script(*steps).partition(": ")[2]))
    assert answer.body == b"data"
    assert answer.trailers == [("grpc-status", "0")]


def test_early_hints(wire: H2Wire) -> None:
    steps = ["send({'type': 'http.response.early_hint', 'links': [b'</a.css>; rel=preload']})", "start()", "body(b'x')"]
    answer = wire.request("GET", "/script", ("x-script", script(*steps).partition(": ")[2]))
    assert (":status", "103") in answer.informational[0]
    assert ("link", "</a.css>; rel=preload") in answer.informational[0]
    assert answer.body == b"x"


def test_files(wire: H2Wire, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4000)
    assert wire.request("GET", f"/file?path={path}").body == path.read_bytes()


def test_a_response_that_breaks_off_is_reset(wire: H2Wire) -> None:
    steps = ["start(200, [(b'content-length', b'10')])", "body(b'short', True)", "!1/0"]
    answer = wire.request("GET", "/script", ("x-script", script(*steps).partition(": ")[2]))
    assert answer.reset == INTERNAL_ERROR
    assert wire.request("GET", "/").body == b"hello"


def test_a_reset_is_a_disconnect(probe: Server, wire: H2Wire) -> None:
    mark = probe.mark()
    number = wire.start("GET", "/watch?name=h2reset&n=2")
    probe.note("h2reset.started", mark)
    wire.h2.reset_stream(number, CANCEL)
    wire.flush()
    assert probe.note("h2reset", mark) == ["http.disconnect"] * 2
    assert probe.note("h2reset.finished", mark) == "http.disconnect"


def test_the_end_of_the_connection_is_a_disconnect_for_all(probe: Server) -> None:
    mark = probe.mark()
    with H2Wire(probe.address) as wire:
        for name in ("h2end1", "h2end2"):
            wire.start("GET", f"/watch?name={name}")
            probe.note(f"{name}.started", mark)
    for name in ("h2end1", "h2end2"):
        assert probe.note(name, mark) == ["http.disconnect"]


# The other interfaces.


def test_rsgi(server: ServerFactory) -> None:
    with H2Wire(server("rsgi_probe:app", "rsgi").address) as wire:
        assert wire.request("POST", "/echo", body=b"x" * 200_000).body == b"x" * 200_000
        assert len(wire.request("GET", "/stream?n=50&size=5000").body) == 250_000
        assert b'"2"' in wire.request("GET", "/scope").body


@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi(server: ServerFactory, threads: int) -> None:
    with H2Wire(server("wsgi_probe:app", "wsgi", "--blocking-threads", str(threads)).address) as wire:
        assert wire.request("POST", "/echo", body=b"x" * 2_000_000).body == b"x" * 2_000_000
        assert len(wire.request("GET", "/stream?n=50&size=5000").body) == 250_000
        environ = json.loads(wire.request("GET", "/environ", ("cookie", "a=b"), ("cookie", "c=d")).body)
        assert "HTTP/2" in str(environ)
        assert "a=b; c=d" in str(environ)


def test_httpx(probe: Server) -> None:
    with httpx.Client(http1=False, http2=True, base_url=probe.url) as client:
        for _ in range(3):
            response = client.post("/echo", content=b"x" * 500_000)
            assert (response.http_version, response.content) == ("HTTP/2", b"x" * 500_000)


# Versions.


def test_http1_only_refuses_the_preface(server: ServerFactory) -> None:
    with server(APP, "asgi", "--http", "1").connect() as wire:
        wire.send(PREFACE)
        assert wire.response("GET").status in (400, 405, 505)


def test_http2_only_refuses_http1(server: ServerFactory) -> None:
    probe = server(APP, "asgi", "--http", "2")
    response = probe.get("/")
    assert (response.status, response.header("connection")) == (505, "close")
    with H2Wire(probe.address) as wire:
        assert wire.request("GET", "/").body == b"hello"
    with socket.create_connection(probe.address, timeout=DEADLINE) as garbage:  # type: ignore[arg-type]
        garbage.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert garbage.recv(1000) == b""


def test_settings(server: ServerFactory) -> None:
    options = {
        "--http2-initial-stream-window-size": 70_000,
        "--http2-max-concurrent-streams": 17,
        "--http2-max-frame-size": 20_000,
        "--http2-max-headers-size": 9_000,
        "--http2-initial-connection-window-size": 80_000,
    }
    given = [text for name, value in options.items() for text in (name, str(value))]
    with H2Wire(server(APP, "asgi", *given).address) as wire:
        wire.request("GET", "/")
        settings = wire.h2.remote_settings
        assert settings.initial_window_size == 70_000
        assert settings.max_concurrent_streams == 17
        assert settings.max_frame_size == 20_000
        assert settings.max_header_list_size == 9_000
        assert wire.h2.outbound_flow_control_window == 80_000


def test_adaptive_windows_grow(server: ServerFactory) -> None:
    options = ["--http2-adaptive-window", "--http2-initial-stream-window-size", "20000"]
    with H2Wire(server(APP, "asgi", *options).address) as wire:
        body = b"x" * 3_000_000
        assert wire.request("POST", "/echo", body=body).body == body
        assert wire.h2.remote_settings.initial_window_size > 20_000


def test_keep_alive_pings(server: ServerFactory) -> None:
    options = ["--http2-keep-alive-interval", "100", "--http2-keep-alive-timeout", "1"]
    probe = server(APP, "asgi", *options)
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        begun = time.monotonic()
        while time.monotonic() - begun < 2:
            assert wire.step(), "a peer that answers was cut off"
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        wire.flush = lambda: None  # type: ignore[method-assign]
        begun = time.monotonic()
        wire.until_closed()
        assert 0.5 < time.monotonic() - begun < 5


# Ends.


def test_stop_lets_streams_finish(server: ServerFactory) -> None:
    probe = server(APP, fresh=True)
    with H2Wire(probe.address) as wire, H2Wire(probe.address) as idle:
        idle.request("GET", "/")
        number = wire.start("GET", "/stream?n=300&size=10000")
        wire.step()
        probe.terminate()
        assert len(wire.answer(number).body) == 3_000_000
        assert wire.until_closed() == NO_ERROR
        assert idle.until_closed() == NO_ERROR
        assert probe.wait_exit() == 0


def test_stop_does_not_wait_for_a_peer_that_is_silent(server: ServerFactory) -> None:
    probe = server(APP, fresh=True)
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        probe.terminate()
        assert probe.wait_exit() == 0


TIMEOUT = ("--http1-header-read-timeout", "500")


@pytest.mark.parametrize("said", [b"", PREFACE[:10], PREFACE, PREFACE + frame(4, 0, 0)])
def test_a_silent_connection_times_out(server: ServerFactory, said: bytes) -> None:
    probe = server(APP, "asgi", *TIMEOUT)
    with socket.create_connection(probe.address, timeout=DEADLINE) as silent:  # type: ignore[arg-type]
        silent.sendall(said)
        begun = time.monotonic()
        while silent.recv(1000):
            pass
        assert 0.3 < time.monotonic() - begun < 4


def test_a_header_section_that_never_ends_times_out(server: ServerFactory) -> None:
    probe = server(APP, "asgi", *TIMEOUT)
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        wire.socket.sendall(frame(1, 1, 3, b"\x82"))
        assert wire.until_closed() == CALM


# Attacks.


def test_rapid_reset(probe: Server) -> None:
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        head = wire.h2.encoder.encode(
            [(":method", "GET"), (":scheme", "http"), (":path", "/wait?gate=never"), (":authority", "h")]
        )
        try:
            for number in range(3, 20_001, 2):
                wire.socket.sendall(frame(1, 5, number, head) + frame(3, 0, number, b"\0\0\0\x08"))
        except ConnectionError:
            return
        assert wire.until_closed() == CALM
    probe.get("/open/never")
    assert probe.get("/").text == "hello"


@pytest.mark.parametrize("flood", [frame(6, 0, 0, bytes(8)), frame(4, 0, 0), frame(2, 0, 1, bytes(5))])
def test_floods(probe: Server, flood: bytes) -> None:
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        try:
            wire.socket.sendall(flood * 20_000)
        except ConnectionError:
            return
        assert wire.until_closed() in (CALM, None)
    assert probe.get("/").text == "hello"


def test_continuations_are_bounded(probe: Server) -> None:
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        try:
            wire.socket.sendall(frame(1, 1, 3, b"\x82"))
            for _ in range(10_000):
                wire.socket.sendall(frame(9, 0, 3, b"\x40\x01a\x01b" * 100))
        except ConnectionError:
            return
        assert wire.until_closed() in (CALM, PROTOCOL_ERROR, None)


def test_a_header_bomb_is_refused(wire: H2Wire) -> None:
    """Kilobytes on the wire, many more in memory: what the table holds is referred to."""
    answer = wire.request("GET", "/", *[("x-bomb", "b" * 4000)] * 100)
    assert answer.status == 431 if answer.headers else answer.reset is not None
    assert wire.request("GET", "/").body == b"hello"
