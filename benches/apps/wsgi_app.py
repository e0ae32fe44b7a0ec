"""The WSGI applications every WSGI server is measured with, one callable per workload."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

HELLO = b"Hello, world!"
TEN_KIB = b"x" * 10240
CHUNK = b"x" * 1024


def _respond(start_response: StartResponse, body: bytes) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, HELLO)


def body_10k(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, TEN_KIB)


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))


def stream(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return _chunks()


def _chunks() -> Iterator[bytes]:
    for _ in range(10):
        yield CHUNK
