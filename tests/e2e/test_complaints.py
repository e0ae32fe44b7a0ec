"""Complaints of users of Python servers, from public threads of 2025 and 2026, each tried on this one.

None of them is in the list of wishes that this server was planned with. The threads stand beside the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server
from .test_http2_clients import run
from .tls import Files, TlsWire, context
from .websocket import UPGRADE

KINDS = {
    "asgi": ("complaints:asgi", "asgi"),
    "rsgi": ("complaints:rsgi", "rsgi"),
    "wsgi": ("complaints:wsgi", "wsgi", "--blocking-threads", "1"),
    "wsgi-pool": ("complaints:wsgi", "wsgi", "--blocking-threads", "4"),
}
pytest.importorskip("starlette")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return KINDS[request.param]


@pytest.fixture
def asgi(server: ServerFactory, loop: str) -> Server:
    return server(*KINDS["asgi"], loop=loop)


def test_stream_of_events_that_its_browser_cancels(asgi: Server) -> None:
    """The browser keeps the connection and cancels the stream (emmett-framework/granian#917)."""
    mark = asgi.mark()
    with H2Wire(asgi.address) as wire:
        number = wire.start("GET", "/events")
        while not wire.answers[number].body:
            assert wire.step()
        wire.h2.reset_stream(number, 8)
        wire.flush()
        assert asgi.note("left", mark) == "/events"
        assert wire.request("POST", "/json", body=b"[1]").body == b"[1]"


def test_body_over_http2_comes_once(server: ServerFactory, kind: tuple[str, ...]) -> None:
    """It came twice: `JSONDecodeError: Extra data` (benoitc/gunicorn#3558)."""
    value = {"text": "x" * 70_000, "list": [*range(1000)]}
    body = json.dumps(value).encode()
    with H2Wire(server(*kind).address) as wire:
        for size in (len(body), 1000, 16_384):
            number = wire.start("POST", "/json", ("content-type", "application/json"), end=False)
            for start in range(0, len(body), size):
                wire.data(number, body[start : start + size])
            wire.data(number, b"", end=True)
            answer = wire.answer(number)
            assert answer.status == 200
            assert json.loads(answer.body) == value


def test_body_over_tls_in_pieces(server: ServerFactory, files: Files, kind: tuple[str, ...]) -> None:
    """Bodies in several records were cut off by `SSLWantReadError` (benoitc/gunicorn#3448)."""
    running = server(*kind, *files.options)
    value = {"text": "y" * 40_000}
    body = json.dumps(value).encode()
    with TlsWire(running, context(files.authority)) as wire:
        for size in (1, 17, 1000, 16_385, len(body)):
            head = f"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            wire.send(head[:20])
            wire.send(head[20:] + body[:10])
            for start in range(10, len(body), max(size, len(body) // 200)):
                wire.send(body[start : start + max(size, len(body) // 200)])
            response = wire.response()
            assert response.status == 200
            assert json.loads(response.body) == value


@pytest.mark.parametrize("rest", [b"0\r\n", b"0\r", b"0", b"0\r\nx: y\r\n"])
def test_end_of_the_last_chunk_is_missing(server: ServerFactory, kind: tuple[str, ...], rest: bytes) -> None:
    """The request was taken for a whole one (benoitc/gunicorn#3382)."""
    running = server(*kind)
    with running.connect() as wire:
        wire.send(b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n" + rest)
        wire.half_close()
        answer = wire.rest()
        assert not answer or b" 400 " in answer.partition(b"\r\n")[0] or b" 500 " in answer.partition(b"\r\n")[0]
        assert b"[1]" not in answer
    running.check()


def test_pipelined_requests_are_all_answered(server: ServerFactory, kind: tuple[str, ...]) -> None:
    """The request that had come together with another one was dropped, its client waited (benoitc/gunicorn#3727)."""
    one = b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n[%2d]"
    requests = b"".join(one % (10 + number) for number in range(40))
    with server(*kind).connect() as wire:
        # Also where the boundary of what comes is in the middle of one.
        wire.send(requests[:1000])
        for number in range(12):
            assert wire.response().body == b"[%d]" % (10 + number)
        wire.send(requests[1000:])
        for number in range(12, 40):
            assert wire.response().body == b"[%d]" % (10 + number)


def test_the_applications_date_and_server_replace_ours(server: ServerFactory, kind: tuple[str, ...]) -> None:
    """Two of each flood a proxy's log, and some clients refuse the response.

    BlessedRebuS/Krawl#207, apache/airflow#64688, vllm-project/production-stack#998.
    """
    running = server(*kind)
    response = running.get("/own")
    assert response.all("date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]
    assert response.all("server") == ["ours"]
    with H2Wire(running.address) as wire:
        headers = wire.request("GET", "/own").headers
    assert [value for name, value in headers if name == "date"] == ["Thu, 01 Jan 1970 00:00:00 GMT"]
    assert [value for name, value in headers if name == "server"] == ["ours"]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_headers_of_a_response_that_an_error_replaces(server: ServerFactory, threads: str) -> None:
    """The lengths of both stood in the response, and clients saw it cut off (girder/girder#3823)."""
    response = server("complaints:wsgi", "wsgi", "--blocking-threads", threads).get("/twice")
    assert (response.status, response.body) == (500, b"no")
    assert response.all("content-length") == ["2"]
    assert response.all("x-first") == []


def test_length_that_is_given_twice(asgi: Server) -> None:
    """The same from a bridge to ASGI: one length leaves, on either protocol."""
    response = asgi.get("/twice")
    assert (response.status, response.all("content-length"), response.body) == (200, ["2"], b"ok")
    with H2Wire(asgi.address) as wire:
        answer = wire.request("GET", "/twice")
    assert [value for name, value in answer.headers if name == "content-length"] == ["2"]


def test_a_client_that_offers_an_upgrade(asgi: Server) -> None:
    """`curl --http2` ended in an exception of the server's and no answer (pgjones/hypercorn#317, #318)."""
    curl = ["curl", "--http2", "--silent", "--show-error", "--max-time", "20"]
    assert run(*curl, f"{asgi.url}/own") == "own"
    assert json.loads(run(*curl, "--data-binary", "[1, 2]", f"{asgi.url}/json")) == [1, 2]
    asgi.check()


def test_data_for_a_stream_that_is_over(asgi: Server) -> None:
    """Frames of an upload that was answered early ended the connection (restatedev/sdk-python#205)."""
    with H2Wire(asgi.address) as wire:
        number = wire.start("POST", "/unread", end=False)
        while not wire.answers[number].body:
            assert wire.step()
        assert wire.answers[number].status == 413
        other = wire.start("POST", "/json", end=False)
        try:
            for _ in range(20):
                wire.data(number, b"z" * 1000)
            wire.data(number, b"", end=True)
        except Exception as error:
            # The stream was reset, with no error, and the client is told to stop.
            assert "Stream" in type(error).__name__, error
        wire.data(other, b"[3]", end=True)
        assert wire.answer(other).body == b"[3]"
        assert wire.goaway is None
    asgi.check()


@pytest.mark.parametrize("chunked", [False, True])
def test_upload_that_is_answered_early(server: ServerFactory, kind: tuple[str, ...], chunked: bool) -> None:
    """A proxy that was still sending saw a reset in the place of the answer (OpenGradient/tee-gateway#163)."""
    body = b"u" * 8_000_000
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    with server(*kind).connect() as wire:
        # All of it, before the answer is looked at.
        wire.send(b"POST /unread HTTP/1.1\r\nHost: a\r\n" + length + b"\r\n\r\n" + framed)
        response = wire.response()
    assert (response.status, response.body) == (413, b"early")


def test_large_answer_to_a_request_with_an_empty_chunked_body(server: ServerFactory, kind: tuple[str, ...]) -> None:
    """Proxies send GET so; with the body unread, the answer was cut off by a reset (benoitc/gunicorn#3334)."""
    with server(*kind).connect(receive_buffer=4096) as wire:
        for _ in range(2):
            wire.send(b"GET /large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            wire.send(b"0\r\n\r\n")
            response = wire.response()
            assert (response.status, len(response.body)) == (200, 4_000_000)


@pytest.mark.parametrize("path", ["/whole", "/bare"])
def test_websocket_that_is_denied(asgi: Server, path: str) -> None:
    """The server's Content-Type, Content-Length and Date came besides (Kludex/uvicorn#3040, #3076)."""
    with asgi.connect() as wire:
        response = wire.request("GET", path, *UPGRADE).response()
    assert (response.status, response.body) == (422, b'{"detail":"nope"}')
    assert response.all("content-type") == ["application/json"]
    assert len(response.all("content-length")) + len(response.all("transfer-encoding")) == 1
    assert len(response.all("date")) == 1


BUSY_IMPORT = """
import ctypes

# Holds the interpreter's lock: no thread of this process can say that it lives.
hold = ctypes.PyDLL(None).sleep
hold(6)

async def app(scope, receive, send):
    if scope["path"] == "/hold":
        hold(6)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
"""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "busy.py").write_text(BUSY_IMPORT)
    yield tmp_path


def test_workers_that_are_busy_are_not_killed(launch: ServerFactory, busy: Path) -> None:
    """Workers whose start or request took more than 5 s were killed and started again (Kludex/uvicorn#2506)."""
    running = launch("busy:app", "asginl", "--workers", "2", cwd=busy).wait_ready()
    running.wait_line("Started worker-2", timeout=20)
    assert running.get("/hold").text == "done"
    running.check()
    assert running.log().count("Spawning") == 2
    running.stop()
