"""ASGI websockets: what applications may send when, and what they and the client are told."""

from __future__ import annotations

import json
import time

import pytest

from .server import Server, script
from .websocket import CLOSE, FIN, PONG, UPGRADE, close_frame, frame, open_websocket
from .wire import Wire

START = "await send({'type': 'websocket.http.response.start', 'status': 401, 'headers': [(b'x-why', b'no')]})"


@pytest.fixture
def app(server, loop) -> Server:
    return server("ws_asgi:app", "asginl", loop=loop)


def handshake(app: Server, *steps: str, headers: tuple[str, ...] = ()):
    with app.connect() as wire:
        return wire.request("GET", "/", *UPGRADE, script(*steps), *headers).response()


def test_echo(app):
    mark = app.mark()
    with open_websocket(app) as websocket:
        for message in ("text", b"bytes", "", b"", "κόσμε", "x" * 70000, b"y" * 200_000):
            websocket.send(message)
            assert websocket.message() == message
        assert websocket.close(4001, "enough") == (4001, "enough")
    assert app.note("echo.end", mark) == [4001, "enough"]


def test_what_was_sent_before_the_close_is_answered(app):
    with open_websocket(app) as websocket:
        websocket.wire.send(frame(1, b"a") + frame(1, b"b") + close_frame(1000))
        assert [websocket.message(), websocket.message()] == ["a", "b"]
        assert websocket.closed() == (1000, "")


def test_disconnect_without_code(app):
    mark = app.mark()
    with open_websocket(app) as websocket:
        assert websocket.close(None) == (None, "")
    assert app.note("echo.end", mark) == [1005, ""]


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.half_close], ids=["fin", "rst", "half"])
def test_page_refresh(app, leave):
    mark = app.mark()
    websocket = open_websocket(app)
    leave(websocket.wire)
    assert app.note("echo.end", mark) == [1006, ""]
    websocket.wire.close()


def test_scope(app):
    protocols = ("Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Protocol: , mqtt,")
    with open_websocket(app, "/scope?a=1", *protocols) as websocket:
        assert websocket.response.all("sec-websocket-protocol") == ["chat"]
        scope = json.loads(websocket.message())
    assert scope["type"] == "websocket"
    assert scope["scheme"] == "ws"
    assert scope["http_version"] == "1.1"
    assert scope["subprotocols"] == ["chat", "superchat", "mqtt"]
    assert "websocket.http.response" in scope["extensions"]
    assert "method" not in scope
    assert scope["asgi"]["spec_version"] == "2.3"


def test_accept_with_subprotocol_and_headers(app):
    step = "await accept(subprotocol='b', headers=[(b'X-One', b'1'), (b'set-cookie', b'a=1'), (b'set-cookie', b'b=2')])"
    response = handshake(app, step)
    assert response.status == 101
    assert response.header("sec-websocket-protocol") == "b"
    assert response.header("x-one") == "1"
    assert response.all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("subprotocol='a b'", "ValueError"),
        ("subprotocol='é'", "ValueError"),
        ("headers=[(b'a\\n', b'')]", "ValueError"),
        ("headers=[('a', 'b')]", "TypeError"),
    ],
)
def test_bad_accept(app, more, error):
    mark = app.mark()
    assert handshake(app, f"await accept({more})").status == 403
    assert app.note("script", mark)[0].startswith(error)


def test_accept_twice(app):
    mark = app.mark()
    response = handshake(app, "await accept()", "await send({'type': 'websocket.accept'})")
    assert response.status == 101
    assert app.note("script", mark) == ["ok", "RuntimeError: ASGI flow error: Connection already upgraded"]


def test_close_before_accept_is_403_at_once(app):
    mark = app.mark()
    steps = ["await receive()", "await close()", "await tell('rest')", "await tell('rest2')", "await asyncio.sleep(2)"]
    with app.connect() as wire:
        begun = time.monotonic()
        response = wire.request("GET", "/", *UPGRADE, script(*steps)).response()
        assert time.monotonic() - begun < 1.5
        assert (response.status, response.body) == (403, b"")
        assert response.header("upgrade") is None
        gone = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        assert app.note("rest", mark) == gone
        assert app.note("rest2", mark) == gone


def test_nothing_after_close_before_accept(app):
    mark = app.mark()
    response = handshake(app, "await receive()", "await close()", "await send({'type': 'websocket.accept'})")
    assert response.status == 403
    assert app.note("script", mark)[2].startswith("RuntimeError")


def test_return_and_raise_before_accept(app):
    assert handshake(app, "await receive()").status == 403
    mark = app.mark()
    assert handshake(app, "!1/0").status == 500
    app.wait_line("ZeroDivisionError", mark)


def test_return_and_raise_after_accept(app):
    for steps, code in ((["await accept()"], 1000), (["await accept()", "!1/0"], 1011)):
        with open_websocket(app, "/", script(*steps)) as websocket:
            assert websocket.closed() == (code, "")


def test_denial(app):
    body = "await send({'type': 'websocket.http.response.body', 'body': b'%s', 'more_body': %s})"
    mark = app.mark()
    response = handshake(
        app, "await receive()", START, body % ("one", True), body % ("two", False), "await tell('after')"
    )
    assert (response.status, response.body, response.header("x-why")) == (401, b"onetwo", "no")
    assert response.chunks is not None
    assert response.header("sec-websocket-accept") is None
    assert app.note("after", mark)["code"] == 1006
    response = handshake(app, "await receive()", START, body % ("whole", False))
    assert (response.status, response.header("content-length")) == (401, "5")


def test_denial_out_of_order(app):
    body = "await send({'type': 'websocket.http.response.body', 'body': b''})"
    mark = app.mark()
    assert handshake(app, body).status == 403
    assert app.note("script", mark)[0].startswith("RuntimeError: ASGI flow error: ")
    mark = app.mark()
    assert handshake(app, START, START, body).status == 401
    assert app.note("script", mark)[1].startswith("RuntimeError: ASGI flow error: ")
    mark = app.mark()
    assert handshake(app, "await accept()", START).status == 101
    assert app.note("script", mark)[1] == "RuntimeError: ASGI flow error: Connection already upgraded"


@pytest.mark.parametrize(
    "message",
    [
        "{}",
        "{'text': None}",
        "{'text': None, 'bytes': None}",
        "{'text': 'a', 'bytes': b'a'}",
    ],
)
def test_bad_send(app, message):
    mark = app.mark()
    with open_websocket(
        app, "/", script("await accept()", f"await send({{'type': 'websocket.send', **{message}}})")
    ) as w:
        assert w.closed() == (1000, "")
    assert app.note("script", mark)[1] == "RuntimeError: Unsupported ASGI message"


def test_send_before_accept(app):
    mark = app.mark()
    assert handshake(app, "await text('early')").status == 403
    assert app.note("script", mark)[0].startswith("RuntimeError: ASGI flow error: ")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, 70000, -1])
def test_illegal_close_code(app, code):
    mark = app.mark()
    with open_websocket(app, "/", script("await accept()", f"await close(code={code})")) as websocket:
        assert websocket.closed() == (1000, "")
    assert app.note("script", mark) == ["ok", "ok"]


@pytest.mark.parametrize("code", [1006, 1000, 4003, -1, 10**30])
def test_any_code_refuses_before_accept(app, code):
    mark = app.mark()
    assert handshake(app, "await receive()", f"await close(code={code})").status == 403
    assert app.note("script", mark)[1] == "ok"


def test_replaced_close_code_is_told_once(server, loop):
    """Frameworks close each websocket with such a code: the log has it once, and then at debug level."""
    own = server("ws_asgi:app", "asginl", loop=loop, fresh=True)
    for code in (1006, 1005):
        with open_websocket(own, "/", script("await accept()", f"await close(code={code})")) as websocket:
            assert websocket.closed() == (1000, "")
    own.wait_line("WARNING.*closed with 1006, which is no close code")
    assert "closed with 1005" not in own.log()


def test_close_with_code_and_long_reason(app):
    with open_websocket(app, "/", script("await accept()", "await close(code=4000, reason='é' * 100)")) as websocket:
        assert websocket.closed() == (4000, "é" * 61)


def test_after_own_close(app):
    mark = app.mark()
    steps = ["await accept()", "await close(code=3000, reason='done')", "await tell('a')", "await tell('b')"]
    steps += ["await text('late')", "await close()"]
    with open_websocket(app, "/", script(*steps)) as websocket:
        assert websocket.closed() == (3000, "done")
        websocket.wire.send(close_frame(3000))
        assert websocket.wire.rest() == b""
    gone = {"type": "websocket.disconnect", "code": 3000, "reason": "done"}
    assert app.note("a", mark) == gone
    assert app.note("b", mark) == gone
    assert app.note("script", mark) == ["ok"] * 6


def test_after_disconnect_everything_is_silent(app):
    mark = app.mark()
    steps = ["await accept()", "await tell('a')", "await text('late')", "await close()", "await tell('b')"]
    with open_websocket(app, "/", script(*steps)) as websocket:
        assert websocket.close(1001) == (1001, "")
    assert app.note("script", mark) == ["ok"] * 5
    assert app.note("b", mark) == {"type": "websocket.disconnect", "code": 1001, "reason": ""}


def test_client_gone_before_accept(app):
    mark = app.mark()
    steps = ["await receive()", "note('begun')", "await tell('gone')", "await send({'type': 'websocket.accept'})"]
    steps += ["await text('late')", "await close()", "await tell('again')"]
    wire = app.connect().request("GET", "/", *UPGRADE, script(*steps))
    app.note("begun", mark)
    wire.close()
    assert app.note("gone", mark)["code"] == 1006
    assert app.note("again", mark)["code"] == 1006
    assert app.note("script", mark) == ["ok"] * 7
    assert "Error" not in "".join(line for line in app.lines(mark) if "@" not in line)


def test_cancelled_receives_lose_nothing(app):
    with open_websocket(app, "/wait_for") as websocket:
        for number in range(100):
            websocket.send(str(number))
            if number % 10 == 0:
                time.sleep(0.01)
        assert [websocket.message() for _ in range(100)] == [str(number) for number in range(100)]


def test_one_that_stops_reading_slows_nobody(app):
    mark = app.mark()
    stuck = open_websocket(app, "/flood")
    others = [open_websocket(app) for _ in range(499)]
    before = app.memory()
    slowest = 0.0
    for other in others:
        begun = time.monotonic()
        other.send("hello")
        assert other.message() == "hello"
        assert app.get("/health").body == b"healthy"
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 1
    assert app.memory() - before < 8 << 20
    stuck.wire.close()
    assert app.note("flood.end", mark)[1] == 1006
    for other in others:
        other.wire.close()


def test_a_crowd_that_vanishes_while_it_is_sent_to(app):
    crowd = [open_websocket(app, "/flood") for _ in range(300)]
    mark = app.mark()
    for websocket in crowd:
        websocket.wire.reset()
    begun = time.monotonic()
    assert app.get("/health").body == b"healthy"
    assert time.monotonic() - begun < 2
    deadline = time.monotonic() + 20
    while sum("@flood.end" in line for line in app.lines(mark)) < len(crowd):
        assert time.monotonic() < deadline
        assert app.get("/health").body == b"healthy"


def test_a_deaf_application_is_not_sent_more_than_fits(app):
    with open_websocket(app, "/deaf") as websocket:
        websocket.wire.socket.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 << 20:
                websocket.wire.socket.sendall(frame(2, bytes(65536)))
                sent += 65536
        assert sent < 32 << 20


def test_server_stop(server, loop):
    app = server("ws_asgi:app", "asginl", loop=loop, fresh=True)
    mark = app.mark()
    with open_websocket(app) as websocket:
        app.terminate()
        assert websocket.closed() == (1001, "server is stopping")
        websocket.wire.send(close_frame(1001))
        assert app.note("echo.end", mark) == [1001, "server is stopping"]
    app.finish()


def test_server_stop_while_it_sends(server, loop):
    app = server("ws_asgi:app", "asginl", loop=loop, fresh=True)
    crowd = [open_websocket(app, "/flood") for _ in range(50)]
    app.terminate()
    for websocket in crowd:
        websocket.wire.close()
    app.finish()
    assert "panic" not in app.log()


def test_keepalive(server, loop):
    app = server("ws_asgi:app", "asginl", "--ws-ping-interval", "1", "--ws-ping-timeout", "1", loop=loop)
    mark = app.mark()
    with open_websocket(app) as websocket:
        first, payload = websocket.frame()
        assert first == FIN | 9
        websocket.wire.send(frame(PONG, payload))
        assert websocket.frame()[0] == FIN | 9
        assert websocket.frame() == (FIN | CLOSE, b"\x03\xf3keepalive ping timeout")
    assert app.note("echo.end", mark) == [1006, "keepalive ping timeout"]


def test_idle_timeout(server, loop):
    app = server("ws_asgi:app", "asginl", "--ws-idle-timeout", "1", loop=loop)
    with open_websocket(app) as websocket:
        websocket.send("x")
        assert websocket.message() == "x"
        assert websocket.closed() == (1001, "idle")


def test_close_timeout(server, loop):
    app = server("ws_asgi:app", "asginl", "--ws-close-timeout", "1", loop=loop)
    with open_websocket(app, "/", script("await accept()", "await close()")) as websocket:
        assert websocket.closed() == (1000, "")
        begun = time.monotonic()
        assert websocket.wire.rest() == b""
        assert 0.5 < time.monotonic() - begun < 3


def test_times_longer_than_any_clock(server, loop):
    options = [f"--ws-{name}={'9' * 19}" for name in ("ping-interval", "ping-timeout", "idle-timeout", "close-timeout")]
    app = server("ws_asgi:app", "asginl", *options, loop=loop)
    with open_websocket(app) as websocket:
        websocket.send("x")
        assert websocket.message() == "x"
    with open_websocket(app, "/", script("await accept()", "await close()")) as websocket:
        assert websocket.closed() == (1000, "")


def test_no_websockets(server):
    app = server("ws_asgi:app", "asginl", "--no-ws")
    with app.connect() as wire:
        assert wire.request("GET", "/", *UPGRADE).response().status == 200
