"""The core of the server: one `Worker` per event loop, and the classes of the objects that applications get."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, final

from ._procinfo import ProcInfoCollector as ProcInfoCollector
from .net import SocketHolder as SocketHolder

__all__ = [
    "BUILD_GIL",
    "ASGIHTTPProtocol",
    "ASGIWebsocketProtocol",
    "AccessRecords",
    "FileWrapper",
    "InFlight",
    "LoadedTls",
    "RSGIHTTPProtocol",
    "RSGIHTTPScope",
    "RSGIHTTPStreamTransport",
    "RSGIHeaders",
    "RSGIWebsocketProtocol",
    "RSGIWebsocketTransport",
    "WSGIInput",
    "WSGIStartResponse",
    "WebsocketInboundMessage",
    "Worker",
    "__version__",
    "check_pattern",
    "check_tls",
    "is_plain_format",
    "load_tls",
    "metrics_layout",
    "set_allocator_parameters",
]

__version__: str
BUILD_GIL: bool

@final
class Worker:
    """The server of one event loop: its listeners and connections. All methods belong on the loop's thread."""

    def __new__(cls, app: Any, options: Any, loop: asyncio.AbstractEventLoop) -> Worker:
        """A worker for `app`, which is called by the interface of `options`, a `granian.config.WorkerOptions`.

        It accepts nothing before `listen`. The caller registers it: `loop.add_reader(worker.fileno(), worker.turn)`.

        # Errors
        `ConfigurationError` for TLS files that are wrong, `ValueError` or `TypeError` for options that the core does
        not know, `OSError` if the system gives no poller.
        """

    def fileno(self, /) -> int:
        """The poller's descriptor, which is readable whenever there is something to do for `turn`."""

    def turn(self, /) -> None:
        """Handles all events that the poller has, once: reads, calls the application, writes. It never waits."""

    def set_turn(self, /, turn: Callable[[], None]) -> None:
        """Makes the loop call `turn`, which calls `Worker.turn`, at deadlines and for the application's replies."""

    def listen(self, /, fd: int, role: str = "app", secured_port: int | None = None) -> None:
        """Accepts on a listening, non-blocking TCP or Unix socket, whose descriptor is duplicated.

        `role` is a value of `granian.binding.Role`. `app` serves the application, over TLS if the worker has it;
        `redirect` answers in plain with redirects to `secured_port` of the same host.

        # Errors
        `OSError` if it is no such socket, `ValueError` for another role, or for `redirect` without a port.
        """

    def unlisten(self, /, fd: int) -> None:
        """Accepts no more on the socket that was given as `fd`. Its connections go on; nothing if there is none."""

    def set_tls(self, /, loaded: LoadedTls) -> None:
        """Secures connections that are accepted from now on with `loaded`; open ones keep what they have."""

    def set_ready(self, /, is_ready: bool) -> None:
        """Answers requests for `health_path` with 200 or 503 from now on, and serves either way."""

    def drain(self, /, on_drained: Callable[[], object], is_replaced: bool = False) -> None:
        """Stops accepting, closes idle connections and lets the others finish.

        `on_drained` is called once, when no connection and no call of the application is left; that may be on a thread
        of the WSGI pool, and before this returns. With `is_replaced` websockets are closed with 1012 (service restart),
        else with 1001 (going away).
        """

    def cancel(self, /) -> None:
        """Ends a drain early: peers count as gone, tasks of requests are cancelled, connections are cut."""

    def close(self, /) -> None:
        """Drops all connections and asks the loop for nothing more. The descriptor is closed with the object.

        Waits half a second at most for the last lines of the access log.
        """

    def reopen_access_log(self, /) -> None:
        """Opens the access log's file anew under its name; nothing if it has none.

        # Errors
        `OSError` when that fails. Lines go on into the old one.
        """

    @property
    def access_records(self, /) -> AccessRecords | None:
        """Records of answers, if the access log goes to Python's handlers."""

    @property
    def in_flight(self, /) -> InFlight:
        """The requests in flight."""

    @property
    def connections(self, /) -> int:
        """Open connections, of every role."""

    @property
    def requests(self, /) -> int:
        """Calls of the application that have not ended."""

    @property
    def handled(self, /) -> int:
        """Responses of the application's listeners that have left, since the worker was made."""

    def tell_after(self, handled: int) -> None:
        """Has a turn run once so many responses have left."""

def check_tls(options: Any) -> None:
    """Reads and checks the files of a `granian.config.TlsOptions`, and that no certificate has expired.

    # Errors
    `ConfigurationError` for the first option that is wrong.
    """

def metrics_layout() -> dict[str, Any]:
    """The places of numbers on a worker's page: `fields`, a list of (name, first word, kind, [(label, values)],
    bounds), and sizes and first words by name. `granian.metrics.layout` makes objects of it.
    """

def load_tls(options: Any) -> LoadedTls:
    """Reads and checks the files of a `granian.config.TlsOptions`.

    Opening an encrypted key takes longer than requests should wait: call it on another thread than the event loop's.

    # Errors
    `ConfigurationError` for the first option that is wrong.
    """

def check_pattern(text: str) -> None:
    """Raises `ValueError` for a text that is no regular expression of the core: Python's without look-around and
    references.
    """

@final
class AccessRecords:
    """Records of answers on their way to Python's handlers. For one thread."""

    def take(self, /) -> tuple[list[tuple[Any, ...]], int] | None:
        """Waits for records, and gives for each the facts of the request (address, method, decoded path, query, scheme,
        protocol), those of its answer (status, seconds, bytes of the body), the request's fields, and all others by
        name; and the number of records that found no room. `None`: there will be no more.
        """

@final
class InFlight:
    """The requests in flight, from their heads to the last bytes of their answers. For any thread."""

    def older_than(self, /, seconds: float, first: int, limit: int) -> tuple[list[tuple[Any, ...]], int]:
        """The requests that have lasted for so many seconds and came at `first` or later, in nanoseconds.

        The oldest `limit` of them: when it came, age in seconds, place (`body`, `queue`, `application`, `send`),
        method, decoded path, client, name, task, number of the thread that runs the application. And the number of all.
        """

    def __len__(self, /) -> int: ...

def is_plain_format(template: str) -> bool:
    """Whether the core writes lines of this format of the access log by itself."""

def set_allocator_parameters() -> None:
    """Sets the parameters of glibc's allocator for this process; for worker processes only."""

@final
class LoadedTls:
    """Certificates and rules that were read and checked."""

@final
class ASGIHTTPProtocol:
    """`receive` and `send` of one request."""

    def receive(self, /) -> Coroutine[Any, Any, dict[str, Any]]: ...
    def send(self, /, message: dict[str, Any]) -> Coroutine[Any, Any, None]: ...

@final
class ASGIWebsocketProtocol:
    """`receive` and `send` of one websocket."""

    def receive(self, /) -> Coroutine[Any, Any, dict[str, Any]]: ...
    def send(self, /, message: dict[str, Any]) -> Coroutine[Any, Any, None]: ...

@final
class RSGIHeaders:
    """`scope.headers`."""

    def keys(self, /) -> list[str]: ...
    def values(self, /) -> list[str]: ...
    def items(self, /) -> list[tuple[str, str]]: ...
    def get(self, /, key: str, default: Any = None) -> Any: ...
    def get_all(self, /, key: str) -> list[str]: ...
    def __contains__(self, key: str, /) -> bool: ...
    def __getitem__(self, key: str, /) -> str: ...
    def __iter__(self, /) -> Iterator[str]: ...
    def __len__(self, /) -> int: ...

@final
class RSGIHTTPScope:
    """The request of an RSGI application, without its body."""

    @property
    def proto(self, /) -> str: ...
    @property
    def rsgi_version(self, /) -> str: ...
    @property
    def http_version(self, /) -> str: ...
    @property
    def server(self, /) -> str: ...
    @property
    def client(self, /) -> str: ...
    @property
    def scheme(self, /) -> str: ...
    @property
    def method(self, /) -> str: ...
    @property
    def path(self, /) -> str: ...
    @property
    def root_path(self, /) -> str: ...
    @property
    def query_string(self, /) -> str: ...
    @property
    def authority(self, /) -> str | None: ...
    @property
    def tls(self, /) -> dict[str, Any] | None: ...
    @property
    def headers(self, /) -> RSGIHeaders: ...
    @property
    def route(self, /) -> str | None: ...
    @route.setter
    def route(self, value: str | None, /) -> None: ...

@final
class RSGIHTTPStreamTransport:
    """The stream that `response_stream` returns."""

    def send_bytes(self, /, data: bytes) -> Coroutine[Any, Any, None]: ...
    def send_str(self, /, data: str) -> Coroutine[Any, Any, None]: ...
    def add_trailers(self, /, headers: Sequence[tuple[str, str]]) -> None: ...
    def __await__(self, /) -> Any: ...

@final
class RSGIHTTPProtocol:
    """The body and the responses of one RSGI request."""

    def __call__(self, /) -> Coroutine[Any, Any, bytes]: ...
    def __aiter__(self, /) -> AsyncIterator[bytes]: ...
    def __anext__(self, /) -> Coroutine[Any, Any, bytes]: ...
    def client_disconnect(self, /) -> Coroutine[Any, Any, None]: ...
    def early_hints(self, /, links: Sequence[str]) -> Coroutine[Any, Any, None]: ...
    def push(self, /, path: str, headers: Sequence[tuple[str, str]] | None = None) -> Coroutine[Any, Any, None]: ...
    def response_empty(
        self, /, status: int = 200, headers: Sequence[tuple[str, str]] | None = None
    ) -> Coroutine[Any, Any, None]: ...
    def response_str(
        self, /, status: int = 200, headers: Sequence[tuple[str, str]] | None = None, body: str | None = None
    ) -> Coroutine[Any, Any, None]: ...
    def response_bytes(
        self, /, status: int = 200, headers: Sequence[tuple[str, str]] | None = None, body: bytes | None = None
    ) -> Coroutine[Any, Any, None]: ...
    def response_file(
        self,
        /,
        status: int = 200,
        headers: Sequence[tuple[str, str]] | None = None,
        file: str | None = None,
        *,
        file_path: str | None = None,
    ) -> Coroutine[Any, Any, None]: ...
    def response_file_range(
        self,
        /,
        status: int,
        headers: Sequence[tuple[str, str]],
        file: str | None = None,
        start: int | None = None,
        end: int | None = None,
        *,
        file_path: str | None = None,
    ) -> Coroutine[Any, Any, None]: ...
    def response_stream(
        self, /, status: int = 200, headers: Sequence[tuple[str, str]] | None = None
    ) -> RSGIHTTPStreamTransport: ...

@final
class RSGIWebsocketProtocol:
    """The handshake of one websocket, and its end."""

    def accept(
        self, /, subprotocol: str | None = None, headers: Sequence[tuple[str, str]] | None = None
    ) -> Coroutine[Any, Any, RSGIWebsocketTransport]: ...
    def close(self, /, status: int | None = None, reason: str | None = None) -> Coroutine[Any, Any, None]: ...

@final
class RSGIWebsocketTransport:
    """An open websocket."""

    def receive(self, /) -> Coroutine[Any, Any, WebsocketInboundMessage]: ...
    def send_bytes(self, /, data: bytes) -> Coroutine[Any, Any, None]: ...
    def send_str(self, /, data: str) -> Coroutine[Any, Any, None]: ...

@final
class WebsocketInboundMessage:
    """A message of a websocket, or its close."""

    @property
    def kind(self, /) -> int: ...
    @property
    def data(self, /) -> bytes | str: ...
    @property
    def code(self, /) -> int | None: ...
    @property
    def reason(self, /) -> str | None: ...

@final
class WSGIInput:
    """`wsgi.input`."""

    def read(self, size: int | None = None, /) -> bytes: ...
    def readline(self, size: int | None = None, /) -> bytes: ...
    def readlines(self, hint: int | None = None, /) -> list[bytes]: ...
    def __iter__(self, /) -> Iterator[bytes]: ...
    def __next__(self, /) -> bytes: ...

@final
class WSGIStartResponse:
    """`start_response` of one request, and the `write` that it returns: the object itself."""

    def start_response(
        self, /, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> WSGIStartResponse: ...
    def __call__(self, /, data: bytes) -> None: ...

@final
class FileWrapper:
    """`wsgi.file_wrapper`."""

    def __new__(cls, filelike: Any, block_size: int = 8192, /) -> FileWrapper: ...
    def __iter__(self, /) -> Iterator[bytes]: ...
    def __next__(self, /) -> bytes: ...
    def close(self, /) -> None: ...
