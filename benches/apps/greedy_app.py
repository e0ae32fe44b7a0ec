"""The application that greedy clients ask for much, in each interface: a greeting, streams, uploads, messages."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HELLO = b"Hello, world!"
PIECE, PIECES = bytes(64 * 1024), 16 * 1024
_TEXT = [(b"content-type", b"text/plain")]


async def asgi(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    if scope["type"] == "websocket":
        return await _take_messages(receive, send)
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": _TEXT})
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["path"] == "/work":
        _work()
    if scope["path"] == "/held":
        await asyncio.sleep(20)
    if scope["path"] == "/hints":
        for _ in range(PIECES):
            await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"] * 20})
    if scope["path"] == "/count":
        while (await receive()).get("more_body", False):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": _TEXT})
    await send({"type": "http.response.body", "body": HELLO})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _work() -> None:
    """Two milliseconds of the processor."""
    end = time.thread_time() + 0.002
    while time.thread_time() < end:
        pass


async def _take_messages(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"][:64]})


async def rsgi(scope: Any, protocol: Any) -> None:
    if scope.proto == "ws":
        transport = await protocol.accept()
        while (message := await transport.receive()).kind:
            await transport.send_bytes(message.data[:64])
    elif scope.path == "/stream":
        transport = protocol.response_stream(200, [("content-type", "text/plain")])
        for _ in range(PIECES):
            await transport.send_bytes(PIECE)
    else:
        if scope.path == "/work":
            _work()
        if scope.path == "/count":
            async for _ in protocol:
                pass
        protocol.response_bytes(200, [("content-type", "text/plain")], HELLO)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    if environ["PATH_INFO"] == "/stream":
        for _ in range(PIECES):
            yield PIECE
        return
    if environ["PATH_INFO"] == "/work":
        _work()
    if environ["PATH_INFO"] == "/count":
        while environ["wsgi.input"].read(65536):
            pass
    yield HELLO
