"""Websockets over HTTP/2 (RFC 8441): the same applications, on streams of a connection."""

from __future__ import annotations

import zlib

import pytest

from .h2wire import Answer, H2Wire
from .server import Server, script
from .websocket import CLOSE, FIN, PONG, TEXT, WebSocket, close_frame, frame

CANCEL = 8
FIELDS = (("sec-websocket-version", "13"),)


class StreamWire:
    """One stream, as the websocket client wants its wire."""

    def __init__(self, wire: H2Wire, number: int) -> None:
        self.h2 = wire
        self.number = number
        self.taken = 0

    @property
    def answer(self) -> Answer:
        return self.h2.answers[self.number]

    def send(self, data: bytes) -> None:
        self.h2.data(self.number, data)

    def exactly(self, count: int) -> bytes:
        while len(self.answer.body) - self.taken < count:
            assert not self.answer.ended, self.answer
            assert self.answer.reset is None, self.answer
            assert self.h2.step(), "closed"
        self.taken += count
        return self.answer.body[self.taken - count : self.taken]

    def rest(self) -> bytes:
        """What comes until the server ends the stream, which it must not reset."""
        while not self.answer.ended:
            assert self.answer.reset is None, self.answer
            assert self.h2.step(), "closed"
        return self.answer.body[self.taken :]

    def reset(self) -> None:
        self.h2.h2.reset_stream(self.number, CANCEL)
        self.h2.flush()

    def half_close(self) -> None:
        self.h2.h2.end_stream(self.number)
        self.h2.flush()

    def close(self) -> None:
        self.h2.socket.close()


def connect(wire: H2Wire, path: str = "/", *fields: tuple[str, str], protocol: str = "websocket") -> StreamWire:
    while not wire.h2.remote_settings.enable_connect_protocol:
        assert wire.step()
    number = wire.start("CONNECT", path, (":protocol", protocol), *FIELDS, *fields, end=False)
    return StreamWire(wire, number)


def head(stream: StreamWire) -> Answer:
    while not stream.answer.headers:
        assert stream.answer.reset is None
        assert stream.h2.step()
    return stream.answer


def open_websocket(wire: H2Wire, path: str = "/", *fields: tuple[str, str]) -> WebSocket:
    stream = connect(wire, path, *fields)
    assert head(stream).status == 200
    return WebSocket(stream, stream.answer)  # type: ignore[arg-type]


def steps(*lines: str) -> tuple[str, str]:
    name, _, value = script(*lines).partition(": ")
    return name, value


@pytest.fixture(params=["asginl", "rsgi"])
def app(request, server, loop) -> Server:
    return server(f"ws_{request.param.removesuffix('nl')}:app", request.param, loop=loop)


@pytest.fixture
def asgi(server, loop) -> Server:
    return server("ws_asgi:app", "asginl", loop=loop)


@pytest.fixture
def wire(app):
    with H2Wire(app.address) as wire:
        yield wire


def test_echo(app, wire):
    mark = app.mark()
    websocket = open_websocket(wire)
    for message in ("text", b"bytes", "", b"", "κόσμε", "x" * 70000, b"y" * 200_000):
        websocket.send(message)
        assert websocket.message() == message
    assert websocket.close(4001, "enough") == (4001, "enough")
    assert app.note("echo.end", mark)[-2:] == [4001, "enough"]


def test_echo_where_http2_is_all_there_is(server):
    """`--http 2` switched websockets off."""
    with H2Wire(server("ws_asgi:app", "asginl", "--http", "2").address) as wire:
        websocket = open_websocket(wire)
        websocket.send("text")
        assert websocket.message() == "text"


def test_head_of_the_answer(wire):
    fields = {name for name, _ in head(connect(wire)).headers}
    assert fields == {":status", "server", "date"}


def test_many_on_one_connection(app, wire):
    websockets = [open_websocket(wire) for _ in range(50)]
    for number, websocket in enumerate(websockets):
        websocket.send(str(number))
    for number, websocket in reversed(list(enumerate(websockets))):
        assert websocket.message() == str(number)
    websockets[7].wire.reset()
    websockets[8].send("still here")
    assert websockets[8].message() == "still here"


def test_pings(wire):
    websocket = open_websocket(wire)
    websocket.wire.send(frame(9, b"are you there"))
    assert websocket.frame() == (FIN | PONG, b"are you there")


def test_faults_close_this_stream_only(wire):
    bad, good = open_websocket(wire), open_websocket(wire)
    bad.wire.send(frame(TEXT, b"not masked", masked=False))
    assert bad.closed()[0] == 1002
    assert bad.wire.rest() == b""
    good.send("x")
    assert good.message() == "x"


def test_compression(wire):
    websocket = open_websocket(wire, "/", ("sec-websocket-extensions", "permessage-deflate"))
    assert websocket.response.header("sec-websocket-extensions").startswith("permessage-deflate")
    deflate = zlib.compressobj(wbits=-15)
    text = b"again and " * 1000
    data = (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
    websocket.wire.send(frame(TEXT, data, first=FIN | 0x40))
    first, payload = websocket.frame()
    assert first == FIN | 0x40 | TEXT
    assert zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff") == text


def test_other_requests_to_connect(wire):
    assert wire.answer(connect(wire, protocol="connect-udp").number).status == 501
    number = wire.start("CONNECT", "/", (":protocol", "websocket"), ("sec-websocket-version", "12"), end=False)
    answer = wire.answer(number)
    assert (answer.status, answer.header("sec-websocket-version")) == (400, "13")


def test_not_announced_if_not_wanted(server):
    app = server("ws_asgi:app", "asginl", "--no-ws")
    with H2Wire(app.address) as wire:
        assert wire.request("GET", "/").status == 200
        assert not wire.h2.remote_settings.enable_connect_protocol
        number = wire.start("CONNECT", "/", (":protocol", "websocket"), *FIELDS, end=False)
        answer = wire.answer(number)
        assert answer.reset is not None or answer.status == 501


def test_scope(asgi):
    with H2Wire(asgi.address) as wire:
        fields = (("sec-websocket-protocol", "a, b"), ("sec-websocket-protocol", "c"), ("cookie", "k=v"))
        websocket = open_websocket(wire, "/scope?q=1", *fields)
        assert websocket.response.header("sec-websocket-protocol") == "a"
        text = websocket.message()
    assert '"type": "websocket"' in text
    assert '"http_version": "2"' in text
    assert '"scheme": "ws"' in text
    assert '"path": "/scope"' in text
    assert '"subprotocols": ["a", "b", "c"]' in text


@pytest.mark.parametrize(
    ("lines", "status"),
    [(["await close()"], 403), (["None"], 403), (["!1/0"], 500)],
)
def test_refusals(asgi, lines, status):
    with H2Wire(asgi.address) as wire:
        stream = connect(wire, "/", steps(*lines))
        assert wire.answer(stream.number).status == status
        assert wire.request("GET", "/").body == b"healthy"


@pytest.mark.parametrize(("lines", "code"), [([], 1000), (["!1/0"], 1011), (["await close(code=4000)"], 4000)])
def test_ends_after_accept(asgi, lines, code):
    with H2Wire(asgi.address) as wire:
        websocket = open_websocket(wire, "/", steps("await accept()", *lines))
        assert websocket.closed()[0] == code
        websocket.wire.send(close_frame(code))
        assert websocket.wire.rest() == b""


@pytest.mark.parametrize(
    "leave", [StreamWire.reset, StreamWire.half_close, StreamWire.close], ids=["rst", "end", "fin"]
)
def test_abnormal_ends(asgi, leave):
    mark = asgi.mark()
    with H2Wire(asgi.address) as wire:
        leave(open_websocket(wire).wire)
        assert asgi.note("echo.end", mark) == [1006, ""]


def test_reset_before_accept(asgi):
    mark = asgi.mark()
    lines = ["await receive()", "note('begun')", "await tell('told')"]
    with H2Wire(asgi.address) as wire:
        stream = connect(wire, "/", steps(*lines))
        asgi.note("begun", mark)
        stream.reset()
        assert asgi.note("told", mark)["code"] == 1006


def test_one_whose_window_is_shut_holds_nobody_up(asgi):
    mark = asgi.mark()
    with H2Wire(asgi.address, greedy=False) as wire:
        before = asgi.memory()
        flood = open_websocket(wire, "/flood")
        while wire.h2.remote_flow_control_window(flood.wire.number):
            assert wire.step()
        assert asgi.memory() - before < 8 << 20
        # The connection's window is not the stream's.
        wire.h2.increment_flow_control_window(1 << 20)
        wire.flush()
        websocket = open_websocket(wire)
        websocket.send("hello")
        assert websocket.message() == "hello"
        flood.wire.reset()
        assert asgi.note("flood.end", mark)[1] == 1006


def test_a_deaf_application_shuts_the_window(asgi):
    with H2Wire(asgi.address) as wire:
        websocket = open_websocket(wire, "/deaf")
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 << 20:
                if wire.h2.local_flow_control_window(websocket.wire.number) > 65536:
                    wire.h2.send_data(websocket.wire.number, frame(2, bytes(8192)))
                    wire.flush()
                    sent += 8192
                else:
                    wire.step(timeout=1)
        assert sent < 16 << 20


def test_server_stop(server, loop):
    app = server("ws_asgi:app", "asginl", loop=loop, fresh=True)
    mark = app.mark()
    with H2Wire(app.address) as wire:
        websocket = open_websocket(wire)
        app.terminate()
        assert websocket.closed() == (1001, "server is stopping")
        websocket.wire.send(close_frame(1001))
        assert app.note("echo.end", mark) == [1001, "server is stopping"]
        assert wire.until_closed() == 0
    app.finish()


def test_keepalive(server, loop):
    app = server("ws_asgi:app", "asginl", "--ws-ping-interval", "1", "--ws-ping-timeout", "1", loop=loop)
    mark = app.mark()
    with H2Wire(app.address) as wire:
        websocket = open_websocket(wire)
        first, payload = websocket.frame()
        assert first == FIN | 9
        websocket.wire.send(frame(PONG, payload))
        assert websocket.frame()[0] == FIN | 9
        assert websocket.frame() == (FIN | CLOSE, b"\x03\xf3keepalive ping timeout")
    assert app.note("echo.end", mark) == [1006, "keepalive ping timeout"]
