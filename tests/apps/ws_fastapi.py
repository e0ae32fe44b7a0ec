"""Websocket routes in FastAPI."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from support import note

app = FastAPI()


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None), headers=[(b"x-app", b"1")])
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as gone:
        note("gone", [gone.code, gone.reason])


@app.websocket("/refuse")
async def refuse(websocket: WebSocket) -> None:
    raise WebSocketException(1008)


@app.websocket("/close")
async def close(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close(4000, "enough")
