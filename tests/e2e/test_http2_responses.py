"""HTTP/2: responses, disconnects, and the interfaces besides ASGI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .h2wire import Answer, H2Wire
from .server import Server, script
from .test_backpressure import settled

APP = "asgi_probe:app"
INTERNAL_ERROR, CANCEL = 2, 8


@pytest.fixture
def probe(server: ServerFactory, loop: str) -> Server:
    return server(APP, loop=loop)


@pytest.fixture
def wire(probe: Server) -> Iterator[H2Wire]:
    with H2Wire(probe.address) as wire:
        yield wire


def steps(*lines: str) -> tuple[str, str]:
    """The field that makes `/script` perform these lines."""
    name, _, value = script(*lines).partition(": ")
    return name, value


def test_head_has_no_body(wire: H2Wire) -> None:
    answer = wire.request("HEAD", "/")
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "5")


@pytest.mark.parametrize("code", [204, 304])
def test_statuses_without_a_body(wire: H2Wire, code: int) -> None:
    answer = wire.request("GET", f"/status?code={code}")
    assert (answer.status, answer.body, answer.header("content-length")) == (code, b"", None)


@pytest.mark.parametrize("fields", ["[]", "[(b'content-length', b'9')]"])
def test_reset_content_has_an_empty_body(wire: H2Wire, fields: str) -> None:
    answer = wire.request("GET", "/script", steps(f"await start(205, {fields})", "await body(b'hello')"))
    assert (answer.status, answer.body, answer.header("content-length")) == (205, b"", "0")
    assert answer.ended


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
        made = settled(lambda: int(other.request("GET", "/progress?name=h2slow").body)) * 10_000
        assert 65_535 < made < 1_000_000
        wire.greedy = True
        wire.h2.increment_flow_control_window(1_000_000)
        wire.h2.increment_flow_control_window(20_000_000, number)
        wire.flush()
        assert len(wire.answer(number).body) == 10_000_000


def test_trailers(wire: H2Wire) -> None:
    lines = [
        "await send({'type': 'http.response.start', 'status': 200, 'headers': [], 'trailers': True})",
        "await body(b'data')",
        "await send({'type': 'http.response.trailers', 'headers': [(b'grpc-status', b'0')], 'more_trailers': False})",
    ]
    answer = wire.request("GET", "/script", ("te", "trailers"), steps(*lines))
    assert answer.body == b"data"
    assert answer.trailers == [("grpc-status", "0")]


def test_early_hints(wire: H2Wire) -> None:
    hint = "await send({'type': 'http.response.early_hint', 'links': [b'</a.css>; rel=preload']})"
    answer = wire.request("GET", "/script", steps(hint, "await start()", "await body(b'x')"))
    assert (":status", "103") in answer.informational[0]
    assert ("link", "</a.css>; rel=preload") in answer.informational[0]
    assert answer.body == b"x"


def test_files(wire: H2Wire, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4000)
    assert wire.request("GET", f"/file?path={path}").body == path.read_bytes()


def test_a_response_that_breaks_off_is_reset(wire: H2Wire) -> None:
    lines = ["await start(200, [(b'content-length', b'10')])", "await body(b'short', True)", "!1/0"]
    answer = wire.request("GET", "/script", steps(*lines))
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


CONTINUE = ("expect", "100-continue")


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_client_is_told_to_send_its_body(server: ServerFactory, interface: str) -> None:
    """The client that waits for it would send its body late, or never."""
    with H2Wire(server(f"{interface}_probe:app", interface).address) as wire:
        number = wire.start("POST", "/echo", CONTINUE, end=False)
        while number not in wire.answers or not wire.answers[number].informational:
            assert wire.step()
        assert wire.answers[number].informational == [[(":status", "100")]]
        wire.data(number, b"hello", end=True)
        answer = wire.answer(number)
        assert (answer.status, answer.body, len(answer.informational)) == (200, b"hello", 1)


def test_client_that_has_sent_its_body_is_not_told_to(wire: H2Wire) -> None:
    fields = [(":method", "POST"), (":authority", "h"), (":scheme", "http"), (":path", "/echo"), CONTINUE]
    number = wire.h2.get_next_available_stream_id()
    wire.answers[number] = Answer()
    wire.h2.send_headers(number, fields)
    wire.h2.send_data(number, b"hello", end_stream=True)
    wire.flush()  # the head and the body at once
    answer = wire.answer(number)
    assert (answer.status, answer.body, answer.informational) == (200, b"hello", [])


def test_body_that_nobody_wants_is_not_asked_for(wire: H2Wire) -> None:
    number = wire.start("POST", "/status?code=403", CONTINUE, end=False)
    answer = wire.answer(number)
    assert (answer.status, answer.informational) == (403, [])
