"""Applications behind TLS: what they learn of it, bodies both ways, one that ends when it is told."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from support import note

CHUNK = b"0123456789abcdef" * 1024
CHUNKS = 64
GATE = asyncio.Event()


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        message = await receive()
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": scope["scheme"] + " " + message["text"]})
        return
    match scope["path"]:
        case "/tls":
            tls = scope["extensions"].get("tls")
            body = json.dumps({"scheme": scope["scheme"], "version": scope["http_version"], "tls": tls}).encode()
        case "/environment":
            body = names_of_environment().encode()
        case "/echo":
            body = await read(receive)
        case "/pid":
            body = str(os.getpid()).encode()
        case "/stream":
            return await stream(receive, send)
        case "/gate":
            note("at the gate")
            await GATE.wait()
            body = b"through"
        case "/open":
            GATE.set()
            body = b"open"
        case "/wait":
            note("waits")
            note("left", (await receive_end(receive))["type"])
            return
        case _:
            body = b"Hello, world!"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def receive_end(receive: Any) -> Any:
    while (message := await receive())["type"] == "http.request":
        pass
    return message


async def stream(receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def names_of_environment() -> str:
    return json.dumps(sorted(os.environ))


async def rsgi(scope: Any, protocol: Any) -> None:
    if scope.path == "/environment":
        return protocol.response_str(200, [], names_of_environment())
    body = json.dumps({"scheme": scope.scheme, "version": scope.http_version, "tls": scope.tls})
    protocol.response_str(200, [], body)


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    found = {name: value for name, value in environ.items() if name.startswith(("SSL_", "HTTPS"))}
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/environment":
        return [names_of_environment().encode()]
    return [json.dumps({"scheme": environ["wsgi.url_scheme"], **found}).encode()]
