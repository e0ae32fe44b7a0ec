"""HTTP/2: requests, which of them are refused, and the flow of their bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from h2.settings import SettingCodes

from .conftest import ServerFactory
from .h2wire import Answer, H2Wire
from .server import Server

APP = "asgi_probe:app"
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 7, 8


@pytest.fixture
def probe(server: ServerFactory, loop: str) -> Server:
    return server(APP, loop=loop)


@pytest.fixture
def wire(probe: Server) -> Iterator[H2Wire]:
    with H2Wire(probe.address) as wire:
        yield wire


def scope_of(answer: Answer) -> dict[str, Any]:
    scope: dict[str, Any] = json.loads(answer.body)["scope"]
    return scope


def fields_of(scope: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name["bytes"], value["bytes"]) for name, value in scope["headers"]]


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
    ],
)
def test_malformed_requests_are_reset(probe: Server, path: str, more: list[tuple[str, str]]) -> None:
    with H2Wire(probe.address, validate=False) as wire:
        number = wire.start("GET", path, *more)
        assert wire.answer(number).reset == PROTOCOL_ERROR
        assert wire.request("GET", "/").body == b"hello"


def test_upper_case_ends_the_connection(probe: Server) -> None:
    with H2Wire(probe.address, validate=False) as wire:
        wire.start("GET", "/", ("X-Upper", "1"))
        assert wire.until_closed() == PROTOCOL_ERROR


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


def test_more_streams_than_allowed_are_refused(probe: Server, wire: H2Wire) -> None:
    wire.request("GET", "/")
    wire.h2.remote_settings.update({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
    wire.h2.remote_settings.acknowledge()
    numbers = [wire.start("GET", "/wait?gate=crowd") for _ in range(210)]
    refused = [wire.answer(number) for number in numbers[200:]]
    assert {answer.reset for answer in refused} == {REFUSED_STREAM}
    probe.get("/open/crowd")
    assert {bytes(wire.answer(number).body) for number in numbers[:200]} == {b"crowd"}


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
