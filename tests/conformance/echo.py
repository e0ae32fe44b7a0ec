"""Websocket echoes for the fuzzing client, one per interface."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from granian.rsgi import WebsocketMessageType, WebsocketProtocol


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def rsgi(scope: object, protocol: WebsocketProtocol) -> None:
    transport = await protocol.accept()
    while (message := await transport.receive()).kind != WebsocketMessageType.close:
        if message.kind == WebsocketMessageType.bytes:
            await transport.send_bytes(message.data)
        else:
            await transport.send_str(message.data)
