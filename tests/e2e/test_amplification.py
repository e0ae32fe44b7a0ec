"""Little input that becomes much: compressed messages, and heads of references. One connection gets a bounded part."""

from __future__ import annotations

import functools
import zlib

import pytest

from .h2wire import H2Wire
from .server import Server
from .test_places import TARGETS
from .test_websocket_http2 import open_websocket
from .websocket import BINARY, FIN, WebSocket, frame
from .websocket import open_websocket as open_plain

MIB = 1 << 20
COMPRESSED = 0x40
DEFLATE = ("sec-websocket-extensions", "permessage-deflate")
TRY_AGAIN_LATER = 1013
REFUSED_STREAM = 7


@pytest.fixture(params=["asgi", "rsgi"])
def app(request, server) -> Server:
    return server(f"ws_{request.param}:app", request.param)


@functools.cache
def beginning() -> bytes:
    """The first frame of a message, which inflates to 12 MiB."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = compressor.compress(bytes(12 * MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY, data, first=COMPRESSED)


def begin(websocket: WebSocket) -> None:
    websocket.wire.send(beginning())


def echoed(websocket: WebSocket) -> int:
    """Ends the message; the size of the one that comes back."""
    websocket.wire.send(frame(0, b"\0"))
    first, payload = websocket.frame()
    assert first == FIN | COMPRESSED | BINARY
    return len(zlib.decompressobj(-15).decompress(payload))


@pytest.mark.alone
def test_messages_that_are_inflated_are_bounded_together(app):
    """Each of 6 websockets begins one of 12 MiB. Two fit into the 32 MiB of a connection, the others are told."""
    before = app.memory()
    with H2Wire(app.address) as wire:
        sockets = [open_websocket(wire, "/", DEFLATE) for _ in range(6)]
        for socket in sockets:
            begin(socket)
        # They go on by turns.
        while len(told := [socket for socket in sockets if socket.wire.answer.body]) < 4:
            assert wire.step()
        assert [socket.closed()[0] for socket in told] == [TRY_AGAIN_LATER] * 4
        assert app.memory() - before < 48 * MIB
        # Those that are under way can be ended, and leave their part to others.
        left = [socket for socket in sockets if socket not in told]
        assert [echoed(socket) for socket in left] == [12 * MIB] * 2
        again = open_websocket(wire, "/", DEFLATE)
        begin(again)
        assert echoed(again) == 12 * MIB


def test_others_are_not_held_up(app):
    """The bound is for what is inflated, and one connection does not get all of the worker's."""
    with H2Wire(app.address) as wire, H2Wire(app.address) as neighbour:
        for _ in range(3):
            begin(open_websocket(wire, "/", DEFLATE))
        for each in (wire, neighbour):
            plain = open_websocket(each, "/")
            plain.send(b"x" * 100_000)
            assert plain.message() == b"x" * 100_000
        compressed = open_websocket(neighbour, "/", DEFLATE)
        begin(compressed)
        assert echoed(compressed) == 12 * MIB


def test_messages_that_inflate_to_a_thousand_times_their_size_are_paced(app):
    """The next message of such a connection waits for a moment, and others do not."""
    with app_socket(app) as websocket, app_socket(app) as neighbour:
        begin(websocket)
        assert echoed(websocket) == 12 * MIB
        websocket.send(b"next")
        neighbour.send(b"usual")
        assert neighbour.message() == b"usual"
        assert websocket.message() == b"next"


def app_socket(app: Server) -> WebSocket:
    return open_plain(app, "/", "Sec-WebSocket-Extensions: permessage-deflate")


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi-pool"])
def test_heads_of_references_are_bounded_together(server, interface):
    """A head of 56 KiB is a few bytes when its field was sent before. Of 60 such requests some are not taken."""
    probe = server(*TARGETS[interface])
    field = ("x-large", "v" * 3900)
    with H2Wire(probe.address) as wire, H2Wire(probe.address) as other:
        numbers = [wire.start("POST", "/echo", *[field] * 14, end=False) for _ in range(60)]
        assert other.request("GET", "/", *[field] * 14).body == b"hello"
        answers = [wire.answers[number] for number in numbers]
        while sum(answer.reset == REFUSED_STREAM for answer in answers) < 20:
            assert wire.step()
        for number, answer in zip(numbers, answers, strict=True):
            if answer.reset is None:
                wire.data(number, b"body", end=True)
                assert wire.answer(number).body == b"body"
        # What is over counts no more.
        for _ in range(40):
            assert wire.request("GET", "/", *[field] * 14).body == b"hello"
