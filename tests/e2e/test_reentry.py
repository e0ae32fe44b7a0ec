"""Code of the application that runs amid the server's own calls the server again."""

from __future__ import annotations

import pytest

from .server import Server
from .websocket import open_websocket


@pytest.fixture
def asgi(server) -> Server:
    return server("reentry:asgi", "asginl")


@pytest.fixture
def rsgi(server) -> Server:
    return server("reentry:rsgi", "rsgi")


@pytest.fixture(params=["1", "8"])
def wsgi(request, server) -> Server:
    return server("reentry:wsgi", "wsgi", "--blocking-threads", request.param)


def outcomes(probe: Server) -> list[str]:
    """What the calls within calls have come to, since this was last asked."""
    return probe.get("/").text.split()


def test_awaitable_that_is_stepped_within_its_step(asgi):
    """By the same thread, which would wait for itself, and by another one, which would keep the interpreter."""
    assert asgi.get("/step_within_step").body == b"stepped"
    assert outcomes(asgi) == ["RuntimeError"] * 6 + ["done"] + ["RuntimeError"]


@pytest.mark.parametrize("where", ["headers", "field", "status"])
def test_start_within_start(asgi, where):
    response = asgi.get(f"/send_within_{where}")
    assert (response.status, response.body) == (201, b"sent")
    assert outcomes(asgi)[-1] == "RuntimeError"


def test_last_piece_within_a_piece(asgi):
    assert asgi.get("/send_within_truth").body == b"sent"
    assert outcomes(asgi) == ["ok", "RuntimeError"]


@pytest.mark.parametrize("where", ["del", "weak_reference"])
def test_send_when_a_piece_is_freed(asgi, where):
    """Which is when the socket has taken it, or behind the end."""
    response = asgi.get(f"/send_within_{where}")
    assert response.body.count(b"x") == 500_000
    found = outcomes(asgi)
    assert len(found) == 5
    assert response.body.count(b"y") == 70_000 * found.count("ok")


def test_receive_within_garbage_collection(asgi):
    response = asgi.get("/send_within_collection")
    assert response.body == b"x" * 2_000_000
    assert set(outcomes(asgi)) == {"ok"}


def test_sends_on_threads(asgi):
    assert len(asgi.get("/sends_on_threads").body) >= 200_000


def test_websocket_accept_within_an_accept(asgi):
    with open_websocket(asgi, "/accept_within_headers") as websocket:
        assert "a" not in {name for name, _ in websocket.response.headers}
        assert websocket.message() == "accepted"
    assert outcomes(asgi) == ["ok", "RuntimeError"]


def test_websocket_message_when_another_is_freed(asgi):
    with open_websocket(asgi, "/message_within_del") as websocket:
        received = [websocket.message() for _ in range(10)]
        assert received.count(b"x" * 100_000) == received.count(b"y" * 70_000) == 5
    assert outcomes(asgi) == ["ok"] * 5


def test_rsgi_response_within_a_response(rsgi):
    response = rsgi.get("/respond_within_headers")
    assert (response.status, response.body) == (201, b"first")
    assert outcomes(rsgi) == ["ok", "ok"]


def test_rsgi_response_within_the_end_of_another(rsgi):
    assert rsgi.get("/respond_within_body").body == b"x" * 100_000
    assert outcomes(rsgi) == ["ok"]


def test_rsgi_read_within_a_read(rsgi):
    with rsgi.connect() as wire:
        wire.request("POST", "/read_within_read", "Content-Length: 5", "Expect: 100-continue")
        assert wire.head().status == 100
        assert wire.send(b"hello").response().body == b"hello"
    assert outcomes(rsgi) == ["RuntimeError", "ProtocolError"]


def test_rsgi_stream_within_its_own(rsgi):
    response = rsgi.get("/stream_within_del")
    assert response.body.count(b"x") == 500_000
    assert response.body.count(b"y") == 70_000 * outcomes(rsgi).count("ok")


def test_wsgi_start_within_the_body(wsgi):
    response = wsgi.get("/start_within_body")
    assert (response.status, response.body) == (201, b"<onetwo")
    assert outcomes(wsgi) == ["ok", "RuntimeError", "RuntimeError"]


def test_wsgi_write_when_the_body_is_freed(wsgi):
    assert wsgi.get("/write_within_del").body == b"x" * 100_000 + b"end"
    assert outcomes(wsgi) == ["RuntimeError"]


@pytest.mark.parametrize("size", [0, 5000, 500_000])
def test_wsgi_input_that_threads_share(wsgi, size):
    assert wsgi.request("POST", "/read_on_threads", body=b"x" * size).body == str(size).encode()
    assert outcomes(wsgi) == ["done"] * 4
