"""A WSGI application: text, an echo and a stream. Run it: granian examples/wsgi.py:app"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

PLAIN = [("Content-Type", "text/plain; charset=utf-8")]


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/":
        start_response("200 OK", PLAIN)
        return [b"Hello from WSGI\n"]
    if path == "/echo":
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read()]
    if path == "/stream":
        start_response("200 OK", PLAIN)
        return lines()
    start_response("404 Not Found", PLAIN)
    return [b"Nothing here\n"]


def lines() -> Iterator[bytes]:
    for number in range(10):
        yield b"line %d\n" % number
        time.sleep(0.5)
