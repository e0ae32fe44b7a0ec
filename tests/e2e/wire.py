"""A client that shows the wire: bytes out, and exactly one response (or the close) in."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

DEADLINE = 10.0

Address = "tuple[str, int] | str"


class Incomplete(Exception):
    """The connection ended before the response did."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"connection closed after {received[:200]!r}")
        self.received = received


@dataclass
class Response:
    """One response as it was framed."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    chunks: list[bytes] | None = None
    trailers: list[tuple[str, str]] = field(default_factory=list)
    informational: list[Response] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header that must not be repeated."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} repeated: {values}"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()


class Wire:
    """One connection. Every wait has a deadline; a reset counts as a close."""

    def __init__(self, address: Address, *, receive_buffer: int | None = None, source: str | None = None) -> None:
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.on_request: Callable[[tuple[str, ...]], None] = lambda headers: None

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def send(self, data: bytes) -> Wire:
        self.socket.sendall(data)
        return self

    def request(self, method: str, target: str, *headers: str, body: bytes = b"") -> Wire:
        """Sends a request with a Host header, and a content-length if there is a body."""
        self.on_request(headers)
        return self.send(request_bytes(method, target, *headers, body=body))

    def response(self, method: str = "GET") -> Response:
        """Reads one response to its end, informational ones before it included."""
        informational = []
        while True:
            response = self.head()
            if response.status >= 200 or response.status == 101:
                break
            informational.append(response)
        response.informational = informational
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if "chunked" in (response.header("transfer-encoding") or ""):
            response.chunks = []
            while chunk := self.chunk():
                response.chunks.append(chunk)
            response.trailers = self._fields()
            response.body = b"".join(response.chunks)
        elif (length := response.header("content-length")) is not None:
            response.body = self.exactly(int(length))
        else:
            response.body = self.rest()
        return response

    def head(self) -> Response:
        """Reads a response head and leaves the body."""
        version, status, reason = (*self._line().decode("latin-1").split(" ", 2), "")[:3]
        return Response(version, int(status), reason, self._fields())

    def chunk(self) -> bytes:
        """Reads one chunk of a chunked body; empty for the last one."""
        size = int(self._line(), 16)
        if size == 0:
            return b""
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._fill()
        return self._take(size)

    def rest(self) -> bytes:
        """Everything until the server closes."""
        try:
            while True:
                self._fill()
        except Incomplete:
            return self._take(len(self.buffer))

    def is_silent(self, seconds: float) -> bool:
        """True when nothing comes, not even a close, for that long."""
        assert not self.buffer
        self.socket.settimeout(seconds)
        try:
            self._fill()
        except TimeoutError:
            return True
        except Incomplete:
            return False
        finally:
            self.socket.settimeout(DEADLINE)
        return False

    def half_close(self) -> None:
        """Says that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leaves with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip()))
        return fields

    def _line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._fill()
        return self._take(end + 2)[:-2]

    def _take(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def _fill(self) -> None:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            raise Incomplete(bytes(self.buffer))
        self.buffer += data


def request_bytes(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """An HTTP/1.1 request with a Host header, and a content-length if there is a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
