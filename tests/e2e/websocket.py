"""A websocket client that shows the frames."""

from __future__ import annotations

import base64
import hashlib
import struct
from itertools import cycle

from .server import Server
from .wire import Response, Wire

KEY = base64.b64encode(b"the sample nonce").decode()
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACCEPT = base64.b64encode(hashlib.sha1((KEY + GUID).encode()).digest()).decode()
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80


def frame(opcode: int, payload: bytes = b"", *, first: int = FIN, masked: bool = True) -> bytes:
    """One frame as a client sends it; `first` has the bits beside the opcode."""
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first | opcode, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", first | opcode, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first | opcode, mask | 127, size)
    if not masked:
        return head + payload
    key = b"\x37\xfa\x21\x3d"
    return head + key + bytes(byte ^ other for byte, other in zip(payload, cycle(key), strict=False))


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


class WebSocket:
    """One open connection."""

    def __init__(self, wire: Wire, response: Response) -> None:
        self.wire = wire
        self.response = response

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wire.close()

    def send(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.wire.send(frame(TEXT, data.encode()))
        else:
            self.wire.send(frame(BINARY, data))

    def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload, which must not be masked."""
        first, size = self.wire.exactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", self.wire.exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.wire.exactly(8))
        return first, self.wire.exactly(size)

    def message(self) -> str | bytes:
        first, payload = self.frame()
        assert first in (FIN | TEXT, FIN | BINARY), (first, payload)
        return payload.decode() if first == FIN | TEXT else payload

    def closed(self) -> tuple[int | None, str]:
        """The content of the next Close frame; waits for the end of the connection after it."""
        first, payload = self.frame()
        assert first == FIN | CLOSE, (first, payload)
        code = struct.unpack("!H", payload[:2])[0] if payload else None
        return code, payload[2:].decode()

    def close(self, code: int | None = 1000, reason: str = "") -> tuple[int | None, str]:
        """Closes, and reads the answer and the end."""
        self.wire.send(close_frame(code, reason))
        answer = self.closed()
        assert self.wire.rest() == b""
        return answer


def open_websocket(server: Server, target: str = "/", *headers: str) -> WebSocket:
    wire = server.connect()
    response = wire.request("GET", target, *UPGRADE, *headers).response()
    assert response.status == 101, response
    assert response.header("sec-websocket-accept") == ACCEPT
    return WebSocket(wire, response)
