"""Applications that are none: what they return, and what they do behind the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any


class Unawaitable:
    """Its `__await__` gives nothing to step."""

    def __await__(self) -> Any:
        return 5


class Failing:
    """An awaitable that fails when it is stepped."""

    def __await__(self) -> Iterator[None]:
        raise LookupError("stepped")
        yield


class Strange:
    """A coroutine's step gives what no event loop knows."""

    def __await__(self) -> Iterator[int]:
        yield 5


RESULTS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "number": lambda: 5,
    "list": lambda: [],
    "generator": lambda: (n for n in range(3)),
    "unawaitable": Unawaitable,
    "failing": Failing,
}


def result_of(name: str) -> Any:
    if name == "hello":
        return None
    return RESULTS[name]()


def asgi(scope: Any, receive: Any, send: Any) -> Any:
    name = scope["path"][1:]
    if name == "asyncgen":
        return asgi_generator(send)
    if name in ("hello", "strange"):
        return asgi_hello(send, name)
    return result_of(name)


async def asgi_generator(send: Any) -> Any:
    yield send


async def asgi_hello(send: Any, name: str) -> None:
    if name == "strange":
        await Strange()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def rsgi(scope: Any, protocol: Any) -> Any:
    name = scope.path[1:]
    if name == "asyncgen":
        return asgi_generator(protocol)
    if name in ("hello", "strange"):
        return rsgi_hello(protocol, name)
    return result_of(name)


async def rsgi_hello(protocol: Any, name: str) -> None:
    if name == "strange":
        await Strange()
    protocol.response_str(200, [], "hello")


class Body:
    """An iterable of two pieces that fails where it is told to."""

    def __init__(self, fails: str) -> None:
        self.fails = fails
        self.pieces = iter([b"one", b"two"])

    def check(self, place: str) -> None:
        if self.fails == place:
            raise KeyboardInterrupt(place)

    def __len__(self) -> int:
        self.check("len")
        return 2

    def __iter__(self) -> Any:
        self.check("iter")
        return 5 if self.fails == "iterator" else self

    def __next__(self) -> bytes:
        self.check("next")
        piece = next(self.pieces)
        if piece == b"two":
            self.check("second")
        return piece

    def close(self) -> None:
        self.check("close")


kept: list[Any] = []
threads: list[threading.Thread] = []


def wsgi(environ: Any, start_response: Any) -> Any:
    """`/late` calls what the request before it was given."""
    name = environ["PATH_INFO"][1:]
    if name == "late":
        outcomes = []
        for call in kept:
            try:
                call()
                outcomes.append("ok")
            except Exception as error:
                outcomes.append(type(error).__name__)
        kept.clear()
        start_response("200 OK", [])
        return [" ".join(outcomes).encode()]
    write = start_response("200 OK", [])
    if name == "keep":
        read = environ["wsgi.input"].read
        kept.extend([lambda: write(b"late"), lambda: start_response("500 Late", []), lambda: read()])
        return [b"kept"]
    if name == "hello":
        return [b"hello"]
    return Body(name)
