"""The protocols that one exchange can be carried by: HTTP/1 and HTTP/2, plain and on TLS, behind one face."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server
from .test_websocket_http2 import connect
from .tls import Files, TlsWire, context
from .websocket import UPGRADE
from .wire import DEADLINE, Wire

CARRIERS = ["h1", "h1-tls", "h2", "h2-tls"]
NO_ERROR = 0
Field = tuple[str, str]


@dataclass
class Carried:
    """A server, and the protocol that its clients speak."""

    server: Server
    version: str
    files: Files | None

    def wire(self, **more: Any) -> Wire:
        if self.files is None:
            return Wire(self.server.address, **more)
        return TlsWire(self.server, context(self.files.authority), **more)

    def h2(self, **more: Any) -> H2Wire:
        trusted = context(self.files.authority, ("h2",)) if self.files else None
        return H2Wire(self.server.address, context=trusted, **more)

    def client(self, source: str | None = None) -> Client:
        """A connection from the address `source`, which tells an orderly end of TLS from another."""
        if self.version == "h2":
            return Client(self.h2(source=source))
        return Client(self.wire(source=source, **({"abrupt": True} if self.files else {})))

    def status(self, method: str, path: str, *fields: Field, body: bytes | None = None) -> int:
        """The status of one request on a connection of its own. The length of a body is declared by a field only."""
        if self.version == "h2":
            with self.h2() as wire:
                number = wire.start(method, path, *fields, end=body is None)
                if body is not None:
                    wire.data(number, body, end=True)
                return wire.answer(number).status
        lines = [f"{name}: {value}" for name, value in fields]
        with self.wire() as wire:
            if body is None:
                return wire.request(method, path, *lines).response().status
            if any(name == "content-length" for name, _ in fields):
                return wire.request(method, path, *lines).send(body).response().status
            wire.request(method, path, *lines, "transfer-encoding: chunked")
            return wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)).response().status

    def opening(self, path: str, *fields: Field) -> int:
        """The status of a websocket's opening request."""
        if self.version == "h2":
            with self.h2() as wire:
                stream = connect(wire, path, *fields)
                while not stream.answer.headers:
                    assert wire.step()
                return stream.answer.status
        with self.wire() as wire:
            lines = [f"{name}: {value}" for name, value in fields]
            return wire.request("GET", path, *UPGRADE, *lines).response().status


def carried(server: ServerFactory, files: Files, carrier: str, *options: str, **more: Any) -> Carried:
    version, _, secure = carrier.partition("-")
    running = server(*options, *(files.options if secure else ()), **more)
    return Carried(running, version, files if secure else None)


class Client:
    """One connection, with one request at a time."""

    def __init__(self, wire: Wire | H2Wire) -> None:
        self._wire = wire
        self._stream = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._wire.socket.close()

    def get(self, path: str) -> int:
        if isinstance(self._wire, H2Wire):
            return self._wire.request("GET", path).status
        return self._wire.request("GET", path).response().status

    def begin_upload(self, path: str, length: int) -> None:
        """The head of a request. Returns when the server waits for the body."""
        fields = {"content-length": str(length), "expect": "100-continue"}
        if isinstance(self._wire, H2Wire):
            self._stream = self._wire.start("POST", path, *fields.items(), end=False)
            while not self._wire.answers[self._stream].informational:
                assert self._wire.step()
        else:
            self._wire.request("POST", path, *(f"{name}: {value}" for name, value in fields.items()))
            assert self._wire.head().status == 100

    def send(self, data: bytes) -> None:
        """More of the body."""
        if isinstance(self._wire, H2Wire):
            self._wire.data(self._stream, data)
        else:
            self._wire.send(data)

    def end_upload(self, data: bytes) -> int:
        """The last piece of the body; the status of the response."""
        if isinstance(self._wire, H2Wire):
            self._wire.data(self._stream, data, end=True)
        else:
            self._wire.send(data)
        return self.status()

    def status(self) -> int:
        """That of the upload's response."""
        if isinstance(self._wire, H2Wire):
            return self._wire.answer(self._stream).status
        return self._wire.response().status

    def is_over(self, within: float = DEADLINE) -> bool:
        """True if the server ends the connection in that time, in order. Nothing may come before."""
        if isinstance(self._wire, H2Wire):
            try:
                while self._wire.step(within):
                    pass
            except TimeoutError:
                return False
            assert self._wire.goaway == NO_ERROR
            return True
        if self._wire.is_silent(within):
            return False
        assert self._wire.rest() == b""
        return True


def first_over(clients: Sequence[Client]) -> Client:
    """The first one whose connection the server ends."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        for client in clients:
            if client.is_over(0.02):
                return client
    raise AssertionError("the server keeps all of them")
