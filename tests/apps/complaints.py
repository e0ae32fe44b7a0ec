"""Applications that users of other servers have met faults with; see `e2e/test_complaints.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from support import note

LARGE = b"0123456789" * 400_000
OWN = (("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("server", "ours"))


async def events(request: Request) -> Response:
    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            await asyncio.sleep(3600)
        finally:
            note("left", request.url.path)

    return StreamingResponse(endless(), media_type="text/event-stream")


async def parse(request: Request) -> Response:
    return Response(json.dumps(await request.json()))


async def own(request: Request) -> Response:
    return Response("own", headers=dict(OWN))


async def unread(request: Request) -> Response:
    return Response("early", 413)


async def large(request: Request) -> Response:
    return Response(LARGE)


starlette = Starlette(
    routes=[
        Route("/events", events),
        Route("/json", parse, methods=["POST"]),
        Route("/own", own),
        Route("/unread", unread, methods=["POST"]),
        Route("/large", large),
    ]
)


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"17"), (b"date", OWN[0][1].encode())]
        start = {"type": "websocket.http.response.start", "status": 422, "headers": headers}
        await send(start if scope["path"] == "/whole" else {**start, "headers": headers[:1]})
        await send({"type": "websocket.http.response.body", "body": b'{"detail":"nope"}'})
    elif scope["type"] == "http" and scope["path"] == "/twice":
        length = (b"content-length", b"2")
        await send({"type": "http.response.start", "status": 200, "headers": [length, length]})
        await send({"type": "http.response.body", "body": b"ok"})
    else:
        await starlette(scope, receive, send)


class Rsgi:
    """What of it there is for RSGI."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.path == "/unread":
            return protocol.response_str(413, [], "early")
        if scope.path == "/large":
            return protocol.response_bytes(200, [], LARGE)
        if scope.path == "/json":
            return protocol.response_str(200, [], json.dumps(json.loads(await protocol())))
        protocol.response_str(200, [*OWN], "own")


rsgi = Rsgi()


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    if environ["PATH_INFO"] == "/json":
        body = json.dumps(json.loads(environ["wsgi.input"].read())).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if environ["PATH_INFO"] == "/unread":
        start_response("413 Too large", [("Content-Length", "5")])
        return [b"early"]
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        return [LARGE]
    if environ["PATH_INFO"] == "/twice":
        start_response("200 OK", [("Content-Length", "100"), ("X-First", "1")])
        try:
            raise ValueError("rendering failed")
        except ValueError:
            import sys

            start_response("500 Oh no", [("Content-Length", "2")], sys.exc_info())
        return [b"no"]
    start_response("200 OK", [(name.title(), value) for name, value in OWN])
    return [b"own"]
