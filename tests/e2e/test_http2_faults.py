"""HTTP/2: peers that flood, stall and hoard. They are cut off with the right code, and nobody else suffers."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from itertools import chain, count, islice, repeat

import pytest
from h2.settings import SettingCodes
from hpack import Encoder

from .conftest import ServerFactory
from .h2wire import GOAWAY, PREFACE, H2Wire, frame
from .server import Server
from .test_backpressure import settled
from .wire import DEADLINE

APP = "asgi_probe:app"
CALM = 11
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
MIB = 1024 * 1024


@pytest.fixture
def probe(server: ServerFactory, loop: str) -> Server:
    return server(APP, loop=loop)


@pytest.fixture
def wire(probe: Server) -> Iterator[H2Wire]:
    with H2Wire(probe.address) as wire:
        yield wire


def head(path: str = "/", method: str = "GET") -> bytes:
    """A header section that leaves the compression's table alone."""
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "h")]
    return Encoder().encode([(name, value, True) for name, value in fields])


def attack(probe: Server, frames: Iterator[bytes]) -> int | None:
    """Sends frames as fast as they are taken until the server closes; the code of its GOAWAY."""
    received = b""
    with socket.create_connection(probe.address, timeout=DEADLINE) as peer:  # type: ignore[arg-type]
        pieces = chain([PREFACE + frame(SETTINGS, 0, 0)], iter(lambda: b"".join(islice(frames, 100)), b""))
        with contextlib.suppress(ConnectionError):
            while True:
                readable, writable, _ = select.select([peer], [peer], [], DEADLINE)
                assert readable or writable, "neither closed nor open"
                if readable:
                    data = peer.recv(1 << 16)
                    received += data
                    if not data:
                        break
                elif (piece := next(pieces, None)) is not None:
                    peer.sendall(piece)
                else:
                    select.select([peer], [], [], DEADLINE)
    return goaway_in(received)


def goaway_in(received: bytes) -> int | None:
    code = None
    while len(received) >= 9:
        length = 9 + int.from_bytes(received[:3], "big")
        if received[3] == GOAWAY:
            code = int.from_bytes(received[13:17], "big")
        received = received[length:]
    return code


def rapid_reset() -> Iterator[bytes]:
    """CVE-2023-44487: requests that are taken back at once."""
    section = head("/wait?gate=never")
    for number in count(1, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, number, section) + frame(RST_STREAM, 0, number, b"\0\0\0\x08")


def made_to_reset() -> Iterator[bytes]:
    """CVE-2025-8671: requests whose streams the server itself has to reset."""
    section = head("/wait?gate=never")
    for number in count(1, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, number, section) + frame(
            WINDOW_UPDATE, 0, number, b"\x7f\xff\xff\xff"
        )


def continuations() -> Iterator[bytes]:
    """CVE-2024-27316: a header section without an end."""
    yield frame(HEADERS, END_STREAM, 1, head())
    yield from repeat(frame(CONTINUATION, 0, 1, b"\0\x01a\x01b" * 1000))


def empty_continuations() -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 1, head())
    yield from repeat(frame(CONTINUATION, 0, 1))


def empty_data() -> Iterator[bytes]:
    """CVE-2019-9518: frames that windows do not count."""
    yield frame(HEADERS, END_HEADERS, 1, head("/drain", "POST"))
    yield from repeat(frame(DATA, 0, 1))


FLOODS = {
    "rapid reset": rapid_reset,
    "made to reset": made_to_reset,
    "continuation": continuations,
    "empty continuation": empty_continuations,
    "empty data": empty_data,
    "ping": lambda: repeat(frame(PING, 0, 0, bytes(8))),
    "settings": lambda: repeat(frame(SETTINGS, 0, 0)),
    "priority": lambda: repeat(frame(PRIORITY, 0, 1, bytes(4) + b"\1")),
    "window update": lambda: repeat(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")),
    "unknown": lambda: repeat(frame(200, 0, 0, bytes(8))),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_end_the_connection(probe: Server, flood: str) -> None:
    probe.get("/")
    before = probe.memory()
    assert attack(probe, FLOODS[flood]()) == CALM
    assert probe.memory() - before < 32 * MIB
    probe.get("/open/never")
    assert probe.get("/").text == "hello"


def test_a_header_bomb_is_refused(wire: H2Wire) -> None:
    """Kilobytes on the wire, many more in memory: what the table holds is referred to."""
    answer = wire.request("GET", "/", *[("x-bomb", "b" * 4000)] * 20)
    assert answer.status == 431
    assert wire.request("GET", "/").body == b"hello"


def test_a_large_header_bomb_ends_the_connection(wire: H2Wire, probe: Server) -> None:
    wire.start("GET", "/", *[("x-bomb", "b" * 4000)] * 200)
    assert wire.until_closed() == CALM
    assert probe.get("/").text == "hello"


def test_a_peer_that_reads_nothing_costs_bounded_memory(server: ServerFactory) -> None:
    """Windows of 2 GiB and a socket that stands still: what applications make has to wait with them."""
    probe = server(APP, fresh=True)
    probe.get("/")
    before = probe.memory()
    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1}
    with H2Wire(probe.address, settings=settings, greedy=False) as wire:
        wire.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        for number in range(100):
            wire.start("GET", f"/stream?n=50&size=100000&name=hoard{number}")
        assert settled(lambda: int(probe.get("/progress?name=hoard0").text)) > 0
        assert probe.memory() - before < 80 * MIB


def test_windows_of_one_byte(probe: Server) -> None:
    with H2Wire(probe.address, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1}, greedy=False) as wire:
        numbers = [wire.start("GET", "/stream?n=2&size=10") for _ in range(50)]
        for _ in range(19):
            for number in numbers:
                wire.h2.increment_flow_control_window(1, number)
        wire.flush()
        for number in numbers:
            assert wire.answer(number).body == b"a" * 10 + b"b" * 10


def test_a_goaway_of_the_peer_lets_its_streams_finish(wire: H2Wire, probe: Server) -> None:
    number = wire.start("GET", "/wait?gate=h2leave")
    wire.socket.sendall(frame(GOAWAY, 0, 0, bytes(8)))
    probe.get("/open/h2leave")
    assert wire.answer(number).body == b"h2leave"
    assert wire.until_closed() is None or wire.goaway == 0
