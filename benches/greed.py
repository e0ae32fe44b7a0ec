"""Greedy clients: `python -m benches.greed KIND PORT SECONDS` takes as much of a server as it can get.

Each is one process with a few connections. Its bytes are made before: the server has more to do than the client.
"""

import base64
import json
import os
import selectors
import socket
import ssl
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, cycle, repeat

CONNECTIONS = 8
_STEP = 1 << 20
_GET = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n"
_UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: bench\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: " + base64.b64encode(bytes(16)) + b"\r\n"
)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _RST, _SETTINGS, _WINDOW = 1, 3, 4, 8
_INITIAL_WINDOW = 4
# GET, http, the path by its index or as it is, the authority `h`, in HPACK.
_HELLO_FIELDS = b"\x82\x86\x84\x41\x01h"
_STREAM_FIELDS = b"\x82\x86\x04\x07/stream\x41\x01h"
_END_HEADERS, _ENDS = 4, 5
_HINTS_FIELDS = b"\x82\x86\x04\x06/hints\x41\x01h"


@dataclass
class Kind:
    """What a greedy client sends on each of its connections."""

    sends: Callable[[], Iterator[bytes]]
    connections: int = CONNECTIONS
    reads: bool = True
    leaves: bool = False
    """It closes when it has been answered, and comes again."""
    secure: bool = False
    """The server has to have a certificate."""
    options: tuple[str, ...] = ()
    """Options of the server."""


@dataclass
class Connection:
    """One connection of a greedy client."""

    pieces: Iterator[bytes]
    left: memoryview = field(default_factory=lambda: memoryview(b""))
    is_done: bool = False


def _pipelines() -> Iterator[bytes]:
    return repeat(_GET * 2_000)


def _uploads() -> Iterator[bytes]:
    head = b"POST /count HTTP/1.1\r\nhost: bench\r\ntransfer-encoding: chunked\r\n\r\n"
    return chain([head], repeat(b"10000\r\n" + bytes(65_536) + b"\r\n"))


def _downloads() -> Iterator[bytes]:
    return iter([_GET.replace(b"/ ", b"/stream ", 1)])


def _streams() -> Iterator[bytes]:
    """As many streams as a connection may have, at any time: those that are refused are asked for again."""
    yield _PREFACE + _frame(_SETTINGS, 0, 0, b"")
    yield _window(0, 1 << 30)
    for first in count(1, 400):
        yield b"".join(_frame(_HEADERS, _ENDS, number, _HELLO_FIELDS) for number in range(first, first + 400, 2))


def _resets() -> Iterator[bytes]:
    """Requests that are taken back at once (CVE-2023-44487)."""
    yield _PREFACE + _frame(_SETTINGS, 0, 0, b"")
    cancel = struct.pack("!I", 8)
    for first in count(1, 200):
        numbers = range(first, first + 200, 2)
        yield b"".join(_frame(_HEADERS, _ENDS, n, _HELLO_FIELDS) + _frame(_RST, 0, n, cancel) for n in numbers)


def _slow_windows() -> Iterator[bytes]:
    """Large responses, of which each stream takes a byte at a time."""
    yield _PREFACE + _frame(_SETTINGS, 0, 0, struct.pack("!HI", _INITIAL_WINDOW, 0)) + _window(0, 1 << 30)
    numbers = range(1, 201, 2)
    yield b"".join(_frame(_HEADERS, _ENDS, number, _STREAM_FIELDS) for number in numbers)
    yield from repeat(b"".join(_window(number, 1) for number in numbers))


def _hints() -> Iterator[bytes]:
    """Early hints on connections of which nothing is read."""
    return iter([_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _ENDS, 1, _HINTS_FIELDS)])


def _references() -> Iterator[bytes]:
    """Heads of 56 KiB, which refer to a field that was sent once, on streams whose bodies do not come."""
    yield _PREFACE + _frame(_SETTINGS, 0, 0, b"")
    fields = b"\x83\x86\x84\x41\x01h"
    # A new field (RFC 7541, 6.2.1); from then on it is number 62, behind the static table and :authority is 63.
    large = b"\x40\x01x" + b"\x7f\xbd\x1d" + b"v" * 3900
    yield _frame(_HEADERS, _END_HEADERS, 1, fields + large)
    yield b"".join(_frame(_HEADERS, _END_HEADERS, n, b"\x83\x86\x84\xbf" + b"\xbe" * 14) for n in range(3, 400, 2))


def _websocket_floods() -> Iterator[bytes]:
    return chain([_UPGRADE + b"\r\n"], repeat(_message(bytes(64)) * 1_000))


def _compression_bombs() -> Iterator[bytes]:
    """Messages of 16 KB that become 16 MiB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = compressor.compress(bytes(16 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    offer = b"sec-websocket-extensions: permessage-deflate; client_no_context_takeover\r\n\r\n"
    return chain([_UPGRADE + offer], repeat(_message(bomb[:-4], compressed=True)))


def _handshakes() -> Iterator[bytes]:
    """The first flight of a client that does not go on, so that it has nothing to compute."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return iter([out.read()])


KINDS = {
    "pipelines": Kind(_pipelines),
    "uploads": Kind(_uploads),
    # With 200 streams each: 10,000.
    "streams": Kind(_streams, connections=50),
    "websocket-floods": Kind(_websocket_floods),
    # An application that writes on for a client that has gone has its own part in what that costs.
    "slow-windows": Kind(_slow_windows, options=("--cancel-on-disconnect",)),
    "resets": Kind(_resets),
    "handshakes": Kind(_handshakes, leaves=True, secure=True),
    "compression-bombs": Kind(_compression_bombs),
    "downloads": Kind(_downloads),
}
# Besides, for what they leave in memory.
HOLDERS = {
    "unread-hints": Kind(_hints, reads=False, options=("--cancel-on-disconnect",)),
    "references": Kind(_references),
}


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _window(stream: int, size: int) -> bytes:
    return _frame(_WINDOW, 0, stream, struct.pack("!I", size))


def _message(payload: bytes, compressed: bool = False) -> bytes:
    """A binary message as a client sends it, with a mask of zeros."""
    first = 0x82 | (0x40 if compressed else 0)
    size = len(payload)
    head = struct.pack("!BB", first, 0x80 | size) if size < 126 else struct.pack("!BBH", first, 0xFE, size)
    return head + bytes(4) + payload


class Client:
    """The connections of one greedy client. One that the server ends is opened again."""

    def __init__(self, kind: Kind, port: int) -> None:
        self.sent = self.received = self.opened = 0
        self._kind = kind
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(_STEP)
        self._is_over = False
        self._kept: list[socket.socket] = []
        self._sources = cycle(f"127.0.0.{number}" for number in range(2, 34))
        for _ in range(kind.connections):
            self._open()

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._is_over:
            for key, events in self._selector.select(0.2):
                try:
                    self._turn(key, events)
                except OSError:
                    self._again(key)

    def leave(self) -> None:
        """Ends `run`, from another thread."""
        self._is_over = True

    def close(self) -> None:
        for wire in [*self._kept, *(key.fileobj for key in self._selector.get_map().values())]:
            wire.close()  # type: ignore[union-attr]
        self._selector.close()

    def _open(self) -> None:
        wire = socket.create_connection(("127.0.0.1", self._port), 10, (next(self._sources), 0))
        wire.setblocking(False)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Leaves no address behind that has to be waited for.
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        events = selectors.EVENT_WRITE | (selectors.EVENT_READ if self._kind.reads else 0)
        self._selector.register(wire, events, Connection(self._kind.sends()))
        self.opened += 1

    def _again(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        key.fileobj.close()  # type: ignore[union-attr]
        self._open()

    def _turn(self, key: selectors.SelectorKey, events: int) -> None:
        wire: socket.socket = key.fileobj  # type: ignore[assignment]
        if events & selectors.EVENT_READ:
            count = wire.recv_into(self._buffer)
            self.received += count
            # Of a handshake's answer the first bytes say that it was made.
            if not count or self._kind.leaves:
                return self._again(key)
        if events & selectors.EVENT_WRITE:
            self._write(wire, key.data)

    def _write(self, wire: socket.socket, connection: Connection) -> None:
        if not connection.left:
            piece = next(connection.pieces, None)
            if piece is None:
                if self._kind.reads:
                    self._selector.modify(wire, selectors.EVENT_READ, connection)
                else:
                    self._selector.unregister(wire)
                    self._kept.append(wire)
                return
            connection.left = memoryview(piece)
        count = wire.send(connection.left)
        self.sent += count
        connection.left = connection.left[count:]


def main(kind: str, port: int, seconds: float) -> None:
    client = Client({**KINDS, **HOLDERS}[kind], port)
    print("BEGUN", flush=True)
    client.run(seconds)
    numbers = {"sent": client.sent, "received": client.received, "opened": client.opened}
    print("SUMMARY " + json.dumps(numbers), flush=True)


if __name__ == "__main__":
    os.nice(10)
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
