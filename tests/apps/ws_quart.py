"""Websocket routes in Quart."""

from __future__ import annotations

import asyncio

from quart import Quart, abort, websocket
from support import note

app = Quart(__name__)


@app.websocket("/echo")
async def echo() -> None:
    await websocket.accept(headers={"x-app": "1"}, subprotocol=next(iter(websocket.requested_subprotocols), None))
    try:
        while True:
            await websocket.send(await websocket.receive())
    except asyncio.CancelledError:
        note("gone", [])
        raise


@app.websocket("/refuse")
async def refuse() -> None:
    abort(403)


@app.websocket("/close")
async def close() -> None:
    await websocket.accept()
    await websocket.close(4000, "enough")
