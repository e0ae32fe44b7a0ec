"""The ASGI applications every ASGI server is measured with, one callable per workload."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HELLO = b"Hello, world!"
TEN_KIB = b"x" * 10240
FILE = os.environ.get("BENCH_FILE", "")
BLOCKED = 2.0
CHUNK = b"x" * 1024
PIECE, PIECES = bytes(64 * 1024), 1600


async def _respond(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await _respond(send, HELLO)


async def body_10k(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await _respond(send, TEN_KIB)


async def file_10k(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"10240")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.pathsend", "path": FILE})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await _respond(send, body)


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for _ in range(10):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def download(scope: Scope, receive: Receive, send: Send) -> None:
    """100 MiB in pieces of 64 KiB."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    headers = [(b"content-length", b"%d" % (len(PIECE) * PIECES))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of received bytes."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    total = 0
    while True:
        message = await receive()
        total += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    await _respond(send, b"%d" % total)


async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await asyncio.sleep(0.01)
    await _respond(send, HELLO)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


_crowd: set[Send] = set()


async def crowd(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends each message to all clients."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    _crowd.add(send)
    while (message := await receive())["type"] == "websocket.receive":
        for other in list(_crowd):
            await other({"type": "websocket.send", "text": message["text"]})
    _crowd.discard(send)


async def placed(scope: Scope, receive: Receive, send: Send) -> None:
    """Hello, and requests that keep the loop or count their bodies."""
    path = scope.get("path", "")
    if path == "/sleeps":
        time.sleep(BLOCKED)
    elif path == "/computes":
        end = time.monotonic() + BLOCKED
        while time.monotonic() < end:
            sum(range(1000))
    await (count if path == "/sum" else hello)(scope, receive, send)
