"""An ASGI application for websockets: an echo, scripts, and what frameworks do wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from support import Stepped, note, perform, step_until_a_pass, steps_of, work_until

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        return await send({"type": "http.response.body", "body": b"healthy"})
    header = dict(scope["headers"]).get(b"x-script")
    if header is not None:
        names = Names(receive, send).names()
        names |= {"Stepped": Stepped, "step_until_a_pass": step_until_a_pass, "work_until": work_until}
        return await perform(steps_of(header), {**names, "scope": scope, "note": note, "asyncio": asyncio})
    await ROUTES[scope["path"]](scope, receive, send)


class Names:
    """Short words for scripts."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send

    def names(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("receive", "send", "accept", "text", "close", "tell")}

    async def accept(self, **more: Any) -> None:
        await self.receive()
        await self.send({"type": "websocket.accept", **more})

    async def text(self, text: str) -> None:
        await self.send({"type": "websocket.send", "text": text})

    async def close(self, **more: Any) -> None:
        await self.send({"type": "websocket.close", **more})

    async def tell(self, name: str) -> None:
        note(name, await self.receive())


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    note("echo.end", [message["code"], message["reason"]])


async def scope_of(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    shown = {key: scope[key] for key in scope if key not in ("headers", "raw_path", "query_string")}
    await send({"type": "websocket.send", "text": json.dumps(shown)})
    await receive()


async def wait_for(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Cancels receives again and again; no message may be lost."""
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        try:
            message = await asyncio.wait_for(receive(), 0.002)
        except asyncio.TimeoutError:
            continue
        if message["type"] == "websocket.disconnect":
            return
        await send({**message, "type": "websocket.send"})


async def flood(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Sends until the client is gone; what that takes in memory is the test's to see."""
    await receive()
    await send({"type": "websocket.accept"})
    gone = asyncio.ensure_future(receive())
    count = 0
    while not gone.done():
        await send({"type": "websocket.send", "bytes": bytes(65536)})
        count += 1
    note("flood.end", [count, gone.result()["code"]])


async def deaf(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Accepts and reads nothing, for longer than a client on a busy machine takes to notice."""
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(10)


ROUTES = {"/": echo, "/scope": scope_of, "/wait_for": wait_for, "/flood": flood, "/deaf": deaf}
