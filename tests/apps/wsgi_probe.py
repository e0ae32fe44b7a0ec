"""A WSGI application with one path for each behaviour under test.

All of it stands behind `wsgiref.validate`, but for `/script`, whose steps break the rules.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs
from wsgiref.validate import validator

from support import Gates, note, perform_sync, steps_of, work_until_sync

Environ = dict[str, Any]
Start = Callable[..., Any]
Handler = Callable[[Environ, Start], Iterable[bytes]]

ROUTES: dict[str, Handler] = {}
gates = Gates(threading.Event)
progress: dict[str, int] = {}


def route(path: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        ROUTES[path] = handler
        return handler

    return register


def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/script":
        return script(environ, start_response)
    return validated(environ, start_response)


@validator
def validated(environ: Environ, start_response: Start) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path.startswith("/open/"):
        gates[path.rpartition("/")[2]].set()
        return respond(start_response, b"open")
    return ROUTES.get(path, missing)(environ, start_response)


def respond(start_response: Start, *body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain")])
    return list(body)


def query(environ: Environ) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(environ["QUERY_STRING"]).items()}


def missing(environ: Environ, start_response: Start) -> Iterable[bytes]:
    return respond(start_response, b"no such path", status="404 Not Found")


class Closing:
    """An iterable that notes when it is closed."""

    def __init__(self, name: str, chunks: Iterable[bytes]) -> None:
        self._name = name
        self._chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        note(f"{self._name}.closed")


class ClosingList(list):
    """A list that notes when it is closed."""

    def close(self) -> None:
        note("list.closed")


@route("/")
def hello(environ: Environ, start_response: Start) -> Iterable[bytes]:
    return respond(start_response, b"hello")


@route("/parts")
def parts(environ: Environ, start_response: Start) -> Iterable[bytes]:
    return respond(start_response, b"one ", b"", b"two")


@route("/environ")
def dump_environ(environ: Environ, start_response: Start) -> Iterable[bytes]:
    strings = {name: value for name, value in environ.items() if isinstance(value, str)}
    others = {name: repr(value) for name, value in environ.items() if not isinstance(value, str)}
    return respond(start_response, json.dumps({**strings, **others}).encode())


@route("/echo")
def echo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    body = b"".join(iter(lambda: environ["wsgi.input"].read(10_000), b""))
    return respond(start_response, body)


@route("/upload")
def upload(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Reads the body and notes how that ended."""
    size = 0
    try:
        while piece := environ["wsgi.input"].read(65536):
            size += len(piece)
    except Exception as error:
        note("upload", [size, type(error).__name__])
        raise
    note("upload", [size])
    return respond(start_response, b"stored")


@route("/count")
def count(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Waits at a gate, then reads the body and answers with its size."""
    gates[query(environ)["gate"]].wait(30)
    size = 0
    while piece := environ["wsgi.input"].read(65536):
        size += len(piece)
    return respond(start_response, str(size).encode())


@route("/stream")
def stream(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """`n` chunks of `size` bytes from a generator; notes its `name` when closed."""
    options = query(environ)
    name = options.get("name", "stream")
    start_response("200 OK", [("Content-Type", "text/plain")])

    def chunks() -> Iterator[bytes]:
        for index in range(int(options.get("n", 10))):
            progress[name] = index + 1
            yield bytes([ord("a") + index % 26]) * int(options.get("size", 1024))

    return Closing(name, chunks())


@route("/write")
def write(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Pushes its body for as long as there is a client, and notes the exception that tells of its end."""
    push = start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        while True:
            push(b"x" * 65536)
    except Exception as error:
        note(query(environ)["name"], [type(error).__name__, str(error)])
        raise


@route("/progress")
def show_progress(environ: Environ, start_response: Start) -> Iterable[bytes]:
    return respond(start_response, str(progress.get(query(environ)["name"], 0)).encode())


@route("/lazy")
def lazy(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """An application that is itself a generator: starts the response at the first chunk."""
    start_response("404 Not Here", [("Content-Type", "text/plain"), ("X-Lazy", "yes")])
    yield b"lazy "
    yield b"body"


@route("/fifo")
def fifo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """A first chunk, then what comes out of a named pipe."""
    start_response("200 OK", [("Content-Type", "text/plain")])

    def chunks() -> Iterator[bytes]:
        yield b"first"
        with open(query(environ)["path"], "rb") as pipe:
            yield pipe.read()

    return chunks()


@route("/wait")
def wait(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answers behind a gate."""
    gate = query(environ)["gate"]
    note("waiting", gate)
    gates[gate].wait(30)
    return respond(start_response, gate.encode())


@route("/work")
def work(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answers when there is a file of the path."""
    work_until_sync(query(environ)["path"])
    return respond(start_response, b"worked")


@route("/gated")
def gated(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """A stream that stays open behind a gate."""
    gate = query(environ)["gate"]
    start_response("200 OK", [("Content-Type", "text/plain")])

    def chunks() -> Iterator[bytes]:
        yield b"first"
        gates[gate].wait(30)
        yield b"last"

    return chunks()


@route("/file")
def send_file(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """A real file through `wsgi.file_wrapper`, from `offset` on."""
    file = open(query(environ)["path"], "rb")  # noqa: SIM115
    file.seek(int(query(environ).get("offset", 0)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, 4096)
    return wrapped


@route("/file/memory")
def send_memory(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Something like a file through `wsgi.file_wrapper`."""

    class Memory(io.BytesIO):
        def close(self) -> None:
            note("memory.closed")
            super().close()

    start_response("200 OK", [("Content-Type", "text/plain")])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](Memory(b"memory" * 5000))
    return wrapped


@route("/thread")
def thread(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Starts and joins a thread of its own."""
    results: list[bytes] = []
    worker = threading.Thread(target=lambda: results.append(b"from a thread"))
    worker.start()
    worker.join()
    return respond(start_response, *results)


@route("/errors")
def errors(environ: Environ, start_response: Start) -> Iterable[bytes]:
    environ["wsgi.errors"].write("a word to the log\n")
    environ["wsgi.errors"].flush()
    return respond(start_response, b"written")


@route("/modules")
def modules(environ: Environ, start_response: Start) -> Iterable[bytes]:
    return respond(start_response, b"asyncio" if "asyncio" in sys.modules else b"")


def script(environ: Environ, start_response: Start) -> Any:
    """Performs the steps in the `x-script` header and returns what they leave as `result`."""
    names = {"__name__": "script", "environ": environ, "start_response": start_response, "note": note, "sys": sys}
    names |= {"Closing": Closing, "ClosingList": ClosingList, "gates": gates, "result": []}
    perform_sync(steps_of(environ["HTTP_X_SCRIPT"]), names)
    return names["result"]
