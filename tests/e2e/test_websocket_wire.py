"""The websocket protocol on the wire: handshakes, frames, close codes, compression."""

from __future__ import annotations

import zlib

import pytest

from .server import Server
from .websocket import ACCEPT, BINARY, FIN, KEY, PING, PONG, TEXT, UPGRADE, close_frame, frame, open_websocket
from .wire import request_bytes

RSV1 = 0x40
VERSION = "Sec-WebSocket-Version: 13"
KEY_FIELD = f"Sec-WebSocket-Key: {KEY}"
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


@pytest.fixture
def app(server, loop) -> Server:
    return server("ws_asgi:app", "asginl", "--ws-max-size", "100000", loop=loop)


def test_handshake(app):
    with app.connect() as wire:
        fields = ("connection: keep-alive, UPGRADE", "upgrade: WebSocket", VERSION, KEY_FIELD)
        response = wire.request("GET", "/", *fields).response()
    assert (response.status, response.header("sec-websocket-accept")) == (101, ACCEPT)
    assert (response.header("connection"), response.header("upgrade")) == ("upgrade", "websocket")
    assert response.header("sec-websocket-extensions") is None
    assert response.header("date") and response.header("content-length") is None


@pytest.mark.parametrize(
    "fields",
    [
        (VERSION,),
        (VERSION, KEY_FIELD, KEY_FIELD),
        (VERSION, "Sec-WebSocket-Key: "),
        (VERSION, "Sec-WebSocket-Key: c2hvcnQ="),
        (VERSION, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="),
    ],
)
def test_bad_key(app, fields):
    with app.connect() as wire:
        response = wire.request("GET", "/", "Connection: upgrade", "Upgrade: websocket", *fields).response()
    assert response.status == 400


@pytest.mark.parametrize("fields", [(), ("Sec-WebSocket-Version: 8",), ("Sec-WebSocket-Version: 13, 8",)])
def test_bad_version(app, fields):
    with app.connect() as wire:
        response = wire.request("GET", "/", "Connection: upgrade", "Upgrade: websocket", KEY_FIELD, *fields).response()
    assert (response.status, response.header("sec-websocket-version")) == (426, "13")


def test_only_get(app):
    with app.connect() as wire:
        assert wire.request("POST", "/", *UPGRADE).response().status == 400
    with app.connect() as wire:
        assert wire.request("GET", "/", *UPGRADE, body=b"body").response().status == 400


def test_http_1_0_is_an_ordinary_request(app):
    with app.connect() as wire:
        wire.send(request_bytes("GET", "/", *UPGRADE).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert wire.response().status == 200


def test_frames_behind_the_request_are_not_lost(app):
    with app.connect() as wire:
        wire.send(request_bytes("GET", "/", *UPGRADE) + frame(TEXT, b"early") + close_frame(1000))
        assert wire.response().status == 101
        assert wire.rest() == b"\x81\x05early\x88\x02\x03\xe8"


def test_byte_by_byte(app):
    with open_websocket(app) as websocket:
        for byte in frame(TEXT, "κό".encode(), first=0) + frame(PING, b"p") + frame(0, "σμε".encode()):
            websocket.wire.send(bytes([byte]))
        assert websocket.frame() == (FIN | PONG, b"p")
        assert websocket.message() == "κόσμε"


def test_pings_and_unasked_pongs(app):
    with open_websocket(app) as websocket:
        websocket.wire.send(frame(PONG, b"unasked") + frame(PING, b"x" * 125) + frame(TEXT, b"on"))
        assert websocket.frame() == (FIN | PONG, b"x" * 125)
        assert websocket.message() == "on"


def test_a_ping_is_answered_though_nothing_follows(app):
    with open_websocket(app) as websocket:
        for payload in (b"", b"one", b"two"):
            websocket.wire.send(frame(PING, payload))
            assert websocket.frame() == (FIN | PONG, payload)


FAULTS = {
    "not masked": (frame(TEXT, b"x", masked=False), 1002),
    "reserved bit": (frame(TEXT, b"x", first=FIN | RSV1), 1002),
    "reserved opcode": (frame(3), 1002),
    "reserved control opcode": (frame(0xB), 1002),
    "long ping": (frame(PING, bytes(126)), 1002),
    "fragmented ping": (frame(PING, b"", first=0), 1002),
    "nothing to continue": (frame(0, b"x"), 1002),
    "not continued": (frame(TEXT, b"x", first=0) + frame(TEXT, b"y"), 1002),
    "not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "half a character": (frame(TEXT, b"\xce"), 1007),
    "too big": (frame(BINARY, bytes(100_001)), 1009),
    "too big in fragments": (frame(BINARY, bytes(60_000), first=0) + frame(0, bytes(60_000)), 1009),
    "close of one byte": (frame(8, b"\x03"), 1002),
    "close code 1005": (close_frame(1005), 1002),
    "close code 2000": (close_frame(2000), 1002),
    "close reason": (frame(8, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_have_their_codes(app, fault):
    wire, code = FAULTS[fault]
    mark = app.mark()
    with open_websocket(app) as websocket:
        websocket.wire.send(wire)
        assert websocket.closed()[0] == code
        assert websocket.wire.rest() == b""
    assert app.note("echo.end", mark)[0] == 1006


def inflate(payload: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_compression(app):
    with open_websocket(app, "/", OFFER) as websocket:
        agreed = websocket.response.header("sec-websocket-extensions")
        assert agreed == "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        text = b"hello " * 1000
        for _ in range(3):
            websocket.wire.send(frame(TEXT, deflate(text), first=FIN | RSV1))
            first, payload = websocket.frame()
            assert first == FIN | RSV1 | TEXT
            assert len(payload) < 200
            assert inflate(payload) == text
        websocket.send("short")
        assert websocket.message() == "short"


def test_bomb(app):
    with open_websocket(app, "/", OFFER) as websocket:
        before = app.memory()
        websocket.wire.send(frame(BINARY, deflate(bytes(64 << 20)), first=FIN | RSV1))
        assert websocket.closed()[0] == 1009
        assert app.memory() - before < 16 << 20


def test_no_compression(server):
    app = server("ws_asgi:app", "asginl", "--no-ws-deflate")
    with open_websocket(app, "/", OFFER) as websocket:
        assert websocket.response.header("sec-websocket-extensions") is None


def test_pings_of_one_that_does_not_read(app):
    with open_websocket(app) as websocket:
        before = app.memory()
        websocket.wire.socket.settimeout(2)
        with pytest.raises((TimeoutError, ConnectionError)):
            for _ in range(2000):
                websocket.wire.socket.sendall(frame(BINARY, bytes(60_000)) + frame(PING, b"x") * 100)
        assert app.memory() - before < 16 << 20
