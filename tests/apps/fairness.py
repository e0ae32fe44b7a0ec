"""An application whose requests could hold each other up."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="none")


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        user.set("secret")
        return await (duplex if scope["path"] == "/duplex" else echo)(receive, send)
    if scope["path"] == "/block":
        time.sleep(1.0)
    await answer(send, user.get().encode())


async def answer(send: Send, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def echo(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def duplex(receive: Receive, send: Send) -> None:
    """Writes whether or not the client reads, and reads meanwhile."""

    async def write() -> None:
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 10_000})

    writers = [asyncio.ensure_future(write()) for _ in range(2)]
    count = 0
    while (message := await receive())["type"] == "websocket.receive":
        count += len(message["bytes"])
        if count >= 50_000_000:
            print("@taken", flush=True)
    for writer in writers:
        writer.cancel()


def plain(scope: dict[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
    """Not a coroutine function: what it does before it returns its coroutine is the request's as well."""
    before = user.get()
    user.set(scope["path"])

    async def run() -> None:
        await answer(send, f"{before} {user.get()}".encode())

    return run()


def pieces(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    yield b"a" * int(environ["QUERY_STRING"])
    time.sleep(1.0)
    yield b"b"


class Crowd:
    """Requests that last until they are let go, beside a thread that keeps a processor busy."""

    def __init__(self) -> None:
        self._begun = 0
        self._leave = asyncio.Event()
        self._rest = threading.Event()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] == "/last":
            self._begun += 1
            await self._leave.wait()
        elif scope["path"] == "/work":
            threading.Thread(target=self._work, daemon=True).start()
        elif scope["path"] == "/leave":
            self._rest.set()
            self._leave.set()
        await answer(send, b"%d" % self._begun)

    def _work(self) -> None:
        while not self._rest.is_set():
            pass


crowd = Crowd()
