"""HTTP/2: peers that flood, stall and hoard. They are cut off, and nobody else notices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire, frame
from .server import Server

APP = "asgi_probe:app"
PROTOCOL_ERROR, CALM = 1, 11


@pytest.fixture
def probe(server: ServerFactory, loop: str) -> Server:
    return server(APP, loop=loop)


@pytest.fixture
def wire(probe: Server) -> Iterator[H2Wire]:
    with H2Wire(probe.address) as wire:
        yield wire


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
    answer = wire.request("GET", "/", *[("x-bomb", "b" * 4000)] * 20)
    assert answer.status == 431
    assert wire.request("GET", "/").body == b"hello"


def test_a_large_header_bomb_ends_the_connection(wire: H2Wire, probe: Server) -> None:
    wire.start("GET", "/", *[("x-bomb", "b" * 4000)] * 100)
    assert wire.until_closed() == CALM
    assert probe.get("/").text == "hello"
