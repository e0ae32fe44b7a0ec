"""Applications that are slow, each path in its own way, for all interfaces."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

# Held for ever.
HELD = threading.Lock()
HELD.acquire()
LOCK = asyncio.Lock()


async def hold_lock() -> None:
    async with LOCK:
        await asyncio.sleep(1.2)


async def wait_for_lock() -> None:
    async with LOCK:
        pass


async def in_group() -> None:
    task = asyncio.ensure_future(nap())
    await asyncio.gather(task, asyncio.sleep(0))


async def nap() -> None:
    print("napping", flush=True)
    await asyncio.sleep(1)


def deadlock() -> None:
    HELD.acquire(timeout=1)


async def in_thread() -> None:
    await asyncio.to_thread(deadlock)


def block() -> None:
    time.sleep(1)


async def blocking() -> None:
    block()


ROUTES = {
    "/hold": hold_lock,
    "/lock": wait_for_lock,
    "/group": in_group,
    "/nap": nap,
    "/thread": in_thread,
    "/block": blocking,
}


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if path == "/body":
        while (await receive()).get("more_body"):
            pass
    elif path in ROUTES:
        await ROUTES[path]()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/large":
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
    await send({"type": "http.response.body", "body": b"done"})


class Rsgi:
    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.path == "/body":
            await protocol()
        elif scope.path in ROUTES:
            await ROUTES[scope.path]()
        if scope.path == "/large":
            transport = protocol.response_stream(200, [])
            for _ in range(64):
                await transport.send_bytes(bytes(1 << 20))
        else:
            protocol.response_str(200, [], "done")


rsgi = Rsgi()


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/body":
        environ["wsgi.input"].read()
    elif path == "/thread":
        deadlock()
    elif path in ("/block", "/nap"):
        print("napping", flush=True)
        block()
    start_response("200 OK", [])
    return [bytes(64 << 20)] if path == "/large" else [b"done"]
