"""An ASGI application without a framework: a page, an echo and a stream. Served by `make serve`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGE = b"""<!doctype html>
<title>granian</title>
<h1>It works</h1>
<p>This page comes from <code>examples/asgi.py</code>.</p>
<ul>
  <li><a href="/stream">/stream</a>: ten lines, one every half second
  <li><code>curl -d hello http://127.0.0.1:8000/echo</code>: what was sent, sent back
</ul>
"""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/":
        await respond(send, 200, b"text/html; charset=utf-8", PAGE)
    elif scope["path"] == "/echo":
        await respond(send, 200, b"application/octet-stream", await read_body(receive))
    elif scope["path"] == "/stream":
        await stream(send)
    else:
        await respond(send, 404, b"text/plain", b"Nothing here\n")


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def read_body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def stream(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for number in range(10):
        await send({"type": "http.response.body", "body": b"line %d\n" % number, "more_body": True})
        await asyncio.sleep(0.5)
    await send({"type": "http.response.body", "body": b""})


async def respond(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type)]})
    await send({"type": "http.response.body", "body": body})
