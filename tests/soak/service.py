"""The server of a soak and its application: ASGI, with every kind of request that the clients make."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import sys
import time
import zlib
from typing import Any

PIECE = bytes(range(256)) * 16
PID = str(os.getpid()).encode()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return await live(receive, send)
    if scope["type"] == "websocket":
        return await echo(receive, send)
    match scope["path"]:
        case "/upload":
            await upload(receive, send)
        case "/stream":
            await stream(send, int(scope["query_string"]), 0.0)
        case "/events":
            await stream(send, int(scope["query_string"]), 0.2)
        case "/moment":
            await asyncio.sleep(random.uniform(0.1, 0.8))
            await answer(send, b"moment")
        case _:
            await answer(send, b"hello")


async def live(receive: Any, send: Any) -> None:
    await receive()
    print(f"@begun {os.getpid()}\n", end="", flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print(f"@ended {os.getpid()}\n", end="", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"x-pid", PID)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def upload(receive: Any, send: Any) -> None:
    checksum, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        checksum = zlib.crc32(message.get("body", b""), checksum)
        more = message.get("more_body", False)
    await answer(send, str(checksum).encode())


async def stream(send: Any, pieces: int, pause: float) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-pid", PID)]})
    for _ in range(pieces):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        if pause:
            await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": b""})


async def echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def main() -> None:
    from granian import Granian

    server = Granian(
        "soak.service:app",
        interface="asgi",
        port=0,
        workers=int(sys.argv[1]),
        loop="asyncio",
        max_requests=int(sys.argv[2]),
        max_requests_jitter=int(sys.argv[2]) // 2,
        drain_timeout=20,
        runtime_mode=sys.argv[3],
        runtime_threads=2 if sys.argv[3] == "mt" else 1,
    )
    # Shorter than the options allow, so that lifetimes end often in a run of some minutes.
    server.config = dataclasses.replace(server.config, workers_lifetime=20, workers_lifetime_jitter=20)
    server.serve()


if __name__ == "__main__":
    main()
else:
    # An application takes its time to load.
    time.sleep(random.uniform(0.05, 0.5))
