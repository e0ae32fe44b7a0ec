"""Websocket routes in Litestar."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, WebSocket, websocket
from support import note


@websocket("/echo")
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept(subprotocols=next(iter(socket.scope["subprotocols"]), None), headers={"x-app": "1"})
    while True:
        message: Any = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return note("gone", [message["code"], message.get("reason")])
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


@websocket("/refuse")
async def refuse(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.close()


@websocket("/close")
async def close(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.close(4000, "enough")


app = Litestar([echo, refuse, close], openapi_config=None)
