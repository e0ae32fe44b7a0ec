"""The names of RSGI (docs/spec/RSGI.md) for applications: types to annotate with and to ask for, errors to catch.

What a server hands to an application is an instance of them: `isinstance(protocol, granian.rsgi.HTTPProtocol)`.
"""

from __future__ import annotations

from abc import ABC
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from . import _granian

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
    from typing import Protocol, runtime_checkable


class ProtocolError(RuntimeError):
    """A call that the protocol's state does not allow."""


class ProtocolClosed(RuntimeError):
    """The peer is gone."""


class Scope(ABC):
    """The request without its body; all attributes but `route` are read-only."""

    proto: str
    http_version: str
    rsgi_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    root_path: str
    query_string: str
    authority: str | None
    tls: dict[str, Any] | None
    headers: Headers
    # The name of the request's route, for `--metrics-routes`; applications set it before they answer.
    route: str | None


class WebsocketMessageType(IntEnum):
    """The `kind` of a message."""

    close = 0
    bytes = 1
    string = 2


class WebsocketMessage(ABC):
    """A message, or the close, which has no data."""

    kind: WebsocketMessageType
    data: bytes | str | None
    # Of a close; None in other messages.
    code: int | None
    reason: str | None


Scope.register(_granian.RSGIHTTPScope)
WebsocketMessage.register(_granian.WebsocketInboundMessage)

if TYPE_CHECKING:

    @runtime_checkable
    class Headers(Protocol):
        """A read-only multi-mapping with lower-case names; look-ups are not case-sensitive."""

        def keys(self) -> list[str]: ...

        def values(self) -> list[str]: ...

        def items(self) -> list[tuple[str, str]]: ...

        def get(self, key: str, default: Any = None) -> Any: ...

        def get_all(self, key: str) -> list[str]: ...

        def __contains__(self, key: str) -> bool: ...

        def __getitem__(self, key: str) -> str: ...

        def __iter__(self) -> Iterator[str]: ...

        def __len__(self) -> int: ...

    @runtime_checkable
    class HTTPStreamTransport(Protocol):
        """The stream that `response_stream` returns."""

        def send_bytes(self, data: bytes) -> Awaitable[None]: ...

        def send_str(self, data: str) -> Awaitable[None]: ...

        def add_trailers(self, headers: Sequence[tuple[str, str]]) -> None: ...

    @runtime_checkable
    class HTTPProtocol(Protocol):
        """The body and the responses of one request."""

        def __call__(self) -> Awaitable[bytes]: ...

        def __aiter__(self) -> AsyncIterator[bytes]: ...

        def client_disconnect(self) -> Awaitable[None]: ...

        def early_hints(self, links: Sequence[str]) -> Awaitable[None]: ...

        def push(self, path: str, headers: Sequence[tuple[str, str]] = ()) -> Awaitable[None]: ...

        def response_empty(self, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Awaitable[None]: ...

        def response_str(
            self, status: int = 200, headers: Sequence[tuple[str, str]] = (), body: str = ""
        ) -> Awaitable[None]: ...

        def response_bytes(
            self, status: int = 200, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
        ) -> Awaitable[None]: ...

        def response_file(
            self, status: int = 200, headers: Sequence[tuple[str, str]] = (), file: str = ""
        ) -> Awaitable[None]: ...

        def response_file_range(
            self, status: int, headers: Sequence[tuple[str, str]], file: str, start: int, end: int
        ) -> Awaitable[None]: ...

        def response_stream(
            self, status: int = 200, headers: Sequence[tuple[str, str]] = ()
        ) -> HTTPStreamTransport: ...

    @runtime_checkable
    class WebsocketTransport(Protocol):
        """The open websocket that `accept` gives."""

        def receive(self) -> Awaitable[WebsocketMessage]: ...

        def send_bytes(self, data: bytes) -> Awaitable[None]: ...

        def send_str(self, data: str) -> Awaitable[None]: ...

    @runtime_checkable
    class WebsocketProtocol(Protocol):
        """A handshake that the application answers."""

        def accept(
            self, subprotocol: str | None = None, headers: Sequence[tuple[str, str]] = ()
        ) -> Awaitable[WebsocketTransport]: ...

        def close(self, status: int | None = None, reason: str | None = None) -> Awaitable[None]: ...

else:
    Headers = _granian.RSGIHeaders
    HTTPStreamTransport = _granian.RSGIHTTPStreamTransport
    HTTPProtocol = _granian.RSGIHTTPProtocol
    WebsocketTransport = _granian.RSGIWebsocketTransport
    WebsocketProtocol = _granian.RSGIWebsocketProtocol
