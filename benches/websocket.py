"""A websocket client made for load: `python -m benches.websocket PORT SECONDS CONNECTIONS` has 64-byte messages echoed,
`IN_FLIGHT` of them on each connection at any time, compares every answer, and prints a summary as wrk.lua does.
"""

import base64
import json
import os
import selectors
import socket
import sys
import time

MESSAGE = bytes(range(32, 96))
IN_FLIGHT = 16
_MASK = b"\x12\x34\x56\x78"


def frame(message: bytes) -> bytes:
    """A text message of up to 125 bytes as a client sends it."""
    masked = bytes(byte ^ _MASK[index % 4] for index, byte in enumerate(message))
    return bytes((0x81, 0x80 | len(message))) + _MASK + masked


def answer(message: bytes) -> bytes:
    """The same message as a server sends it."""
    return bytes((0x81, len(message))) + message


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    """An open websocket."""
    connection = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    connection.sendall(f"GET / HTTP/1.1\r\nHost: bench\r\n{upgrade}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"refused: {head[:60]!r}")
        head += byte
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"refused: {head[:60]!r}")
    return connection


def echo(connection: socket.socket, message: bytes) -> bytes:
    """The echo of one message, without its framing."""
    expected = answer(message)
    connection.sendall(frame(message))
    received = b""
    while len(received) < len(expected):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("closed")
        received += piece
    return received[2:]


class Load:
    """Connections that are never without messages in flight."""

    def __init__(self, port: int, connections: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.question, self.expected = frame(MESSAGE), answer(MESSAGE)
        self.many = self.expected * (IN_FLIGHT + 1)
        self.answered = self.errors = self.wrong = 0
        self.waits: list[float] = []
        for _ in range(connections):
            connection = connect(port)
            self.selector.register(connection, selectors.EVENT_READ, [0, time.perf_counter()])
            connection.sendall(self.question * IN_FLIGHT)

    def run(self, seconds: float) -> float:
        """Keeps on for `seconds`; how long it really was."""
        begun = time.perf_counter()
        while (now := time.perf_counter()) < begun + seconds and self.selector.get_map():
            for key, _ in self.selector.select(1.0):
                self._turn(key)
        return now - begun

    def _turn(self, key: selectors.SelectorKey) -> None:
        connection: socket.socket = key.fileobj  # type: ignore[assignment]
        part, since = key.data
        data = connection.recv(65536)
        if not data or data != self.many[part : part + len(data)]:
            self.errors, self.wrong = self.errors + (not data), self.wrong + bool(data)
            self.selector.unregister(connection)
            return
        count, key.data[0] = divmod(part + len(data), len(self.expected))
        if count:
            self.answered += count
            now = time.perf_counter()
            self.waits.append(now - since)
            key.data[1] = now
            connection.sendall(self.question * count)


def main(port: int, seconds: float, connections: int) -> None:
    load = Load(port, connections)
    duration = load.run(seconds)
    waits = sorted(load.waits)
    summary = {
        "requests": load.answered,
        "errors": load.errors,
        "bad_status": load.wrong,
        "bytes": load.answered * len(MESSAGE),
        "duration_us": int(duration * 1e6),
        "p99_us": int(waits[len(waits) * 99 // 100] * 1e6) if waits else 0,
    }
    print("SUMMARY " + json.dumps(summary), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
