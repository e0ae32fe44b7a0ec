"""RSGI websockets (docs/spec/RSGI.md, 5)."""

from __future__ import annotations

import pytest

from .server import Server, script
from .websocket import UPGRADE, close_frame, open_websocket


@pytest.fixture
def app(server, loop) -> Server:
    return server("ws_rsgi:app", "rsgi", loop=loop)


def handshake(app: Server, *steps: str):
    with app.connect() as wire:
        return wire.request("GET", "/", *UPGRADE, script(*steps)).response()


def test_echo(app):
    mark = app.mark()
    with open_websocket(app) as websocket:
        for message in ("text", b"bytes", "", b"", "κόσμε", b"y" * 200_000):
            websocket.send(message)
            assert websocket.message() == message
        assert websocket.close(4001, "enough") == (4001, "enough")
    assert app.note("echo.end", mark) == [0, None, 4001, "enough"]


def test_close_without_code(app):
    mark = app.mark()
    with open_websocket(app) as websocket:
        assert websocket.close(None) == (None, "")
    assert app.note("echo.end", mark) == [0, None, 1005, ""]


def test_accept_with_subprotocol_and_headers(app):
    response = handshake(app, "await protocol.accept('mqtt', [('x-one', '1')])")
    assert response.status == 101
    assert response.header("sec-websocket-protocol") == "mqtt"
    assert response.header("x-one") == "1"


def test_accept_twice_and_after_close(app):
    mark = app.mark()
    assert handshake(app, "await protocol.accept()", "await protocol.accept()").status == 101
    assert app.note("script", mark)[1] == "ProtocolError: RSGI protocol error"
    mark = app.mark()
    assert handshake(app, "protocol.close()", "await protocol.accept()").status == 403
    assert app.note("script", mark)[1] == "ProtocolError: RSGI protocol error"


@pytest.mark.parametrize(("status", "expected"), [("", 403), ("status=401", 401), ("None", 403), ("503", 503)])
def test_refusal(app, status, expected):
    response = handshake(app, f"protocol.close({status})", "protocol.close()")
    assert (response.status, response.body) == (expected, b"")


@pytest.mark.parametrize("status", [4000, 4999, 99, 101, 1000, 0, -1, 10**30])
def test_close_code_refuses_before_accept(app, status):
    mark = app.mark()
    assert handshake(app, f"protocol.close({status})").status == 403
    assert app.note("script", mark)[0] == "ok"


def test_return_and_raise(app):
    assert handshake(app, "None").status == 403
    assert handshake(app, "!1/0").status == 500
    for steps, code in (([], 1000), (["!1/0"], 1011)):
        with open_websocket(app, "/", script("await protocol.accept()", *steps)) as websocket:
            assert websocket.closed() == (code, "")


def test_own_close(app):
    mark = app.mark()
    steps = ["await protocol.accept()", "protocol.close(4002, 'x' * 200)", "protocol.close()"]
    with open_websocket(app, "/", script(*steps)) as websocket:
        assert websocket.closed() == (4002, "x" * 123)
        websocket.wire.send(close_frame(4002))
    assert app.note("script", mark) == ["ok", "ok", "ok"]


@pytest.mark.parametrize("code", [0, 101, 200, 500, 1005, 1006, 5000, -1, 10**30])
def test_code_that_cannot_be_sent_closes_normally(app, code):
    mark = app.mark()
    with open_websocket(app, "/", script("await protocol.accept()", f"protocol.close({code})")) as websocket:
        assert websocket.closed() == (1000, "")
    assert app.note("script", mark) == ["ok", "ok"]


def test_loss_is_an_error(app):
    mark = app.mark()
    with open_websocket(app) as websocket:
        websocket.wire.reset()
    app.wait_line("ProtocolClosed: RSGI transport is closed", mark)


def test_cancelled_receives_lose_nothing(app):
    lines = ["transport = await protocol.accept()", "task = asyncio.ensure_future(transport.receive())"]
    lines += ["await asyncio.sleep(0)", "task.cancel()", "await asyncio.sleep(0)", "await transport.send_str('go')"]
    lines += ["await tell('first', transport)", "await tell('second', transport)", "await tell('end', transport)"]
    mark = app.mark()
    with open_websocket(app, "/", script(*lines)) as websocket:
        assert websocket.message() == "go"
        websocket.send("one")
        websocket.send("two")
        assert websocket.close(1000) == (1000, "")
    assert app.note("first", mark)[:2] == [2, "one"]
    assert app.note("second", mark)[:2] == [2, "two"]
    assert app.note("end", mark)[2] == 1000


def test_server_stop(server, loop):
    app = server("ws_rsgi:app", "rsgi", loop=loop, fresh=True)
    mark = app.mark()
    with open_websocket(app) as websocket:
        app.terminate()
        assert websocket.closed() == (1001, "server is stopping")
        websocket.wire.send(close_frame(1001))
        assert app.note("echo.end", mark) == [0, None, 1001, "server is stopping"]
    app.finish()


def test_client_gone_before_accept(app):
    mark = app.mark()
    steps = ["note('begun')", "await asyncio.sleep(0.3)", "await protocol.accept()"]
    wire = app.connect().request("GET", "/", *UPGRADE, script(*steps))
    app.note("begun", mark)
    wire.close()
    assert app.note("script", mark)[2] == "ProtocolClosed: RSGI transport is closed"
