"""Applications of several frameworks that answer with the same text: `/whole`, `/stream`, and `/events`.

The second event waits for a request of `/next`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

PIECES = [f"<p>Piece {number}. {'The quick brown fox. ' * 200}</p>\n" for number in range(12)]
TEXT = "".join(PIECES)
EVENTS = ["data: one\n\n", "data: two\n\n"]
HTML, EVENT_STREAM = "text/html; charset=utf-8", "text/event-stream"


def pieces() -> Iterator[str]:
    yield from PIECES


async def apieces() -> AsyncIterator[str]:
    for piece in PIECES:
        yield piece


class Gate:
    """Opened once for each stream of events."""

    def __init__(self) -> None:
        self._sync = threading.Semaphore(0)
        self._async = asyncio.Semaphore(0)

    def open(self) -> str:
        self._sync.release()
        self._async.release()
        return "open"

    def events(self) -> Iterator[str]:
        yield EVENTS[0]
        self._sync.acquire()
        yield EVENTS[1]

    async def aevents(self) -> AsyncIterator[str]:
        yield EVENTS[0]
        await self._async.acquire()
        yield EVENTS[1]


def flask() -> Any:
    from flask import Flask, Response

    gate = Gate()
    app = Flask(__name__)
    app.add_url_rule("/whole", "whole", lambda: Response(TEXT, content_type=HTML))
    app.add_url_rule("/stream", "stream", lambda: Response(pieces(), content_type=HTML))
    app.add_url_rule("/events", "events", lambda: Response(gate.events(), content_type=EVENT_STREAM))
    app.add_url_rule("/next", "next", gate.open)
    return app


def _django(is_async: bool) -> None:
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django.urls import path

    gate = Gate()

    def whole(request: HttpRequest) -> HttpResponse:
        return HttpResponse(TEXT, content_type=HTML)

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(apieces() if is_async else pieces(), content_type=HTML)

    def events(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(gate.aevents() if is_async else gate.events(), content_type=EVENT_STREAM)

    async def proceed(request: HttpRequest) -> HttpResponse:
        return HttpResponse(gate.open())

    routes = (path("whole", whole), path("stream", stream), path("events", events), path("next", proceed))
    settings.configure(ROOT_URLCONF=routes, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=[])


def django_wsgi() -> Any:
    _django(False)
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def django_asgi() -> Any:
    _django(True)
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    gate = Gate()

    async def whole(request: Request) -> Response:
        return Response(TEXT, headers={"content-type": HTML})

    async def stream(request: Request) -> Response:
        return StreamingResponse(apieces(), headers={"content-type": HTML})

    async def events(request: Request) -> Response:
        return StreamingResponse(gate.aevents(), headers={"content-type": EVENT_STREAM})

    async def proceed(request: Request) -> Response:
        return Response(gate.open())

    routes = {"/whole": whole, "/stream": stream, "/events": events, "/next": proceed}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in routes.items()])


def fastapi() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse

    gate = Gate()
    app = FastAPI()
    app.get("/whole", response_class=HTMLResponse)(lambda: TEXT)
    app.get("/stream")(lambda: StreamingResponse(pieces(), media_type="text/html"))
    app.get("/events")(lambda: StreamingResponse(gate.aevents(), media_type=EVENT_STREAM))

    @app.get("/next", response_class=PlainTextResponse)
    async def proceed() -> str:
        return gate.open()

    return app


def litestar() -> Any:
    from litestar import Litestar, get
    from litestar.response import Stream

    gate = Gate()

    @get("/whole", media_type=HTML)
    async def whole() -> str:
        return TEXT

    @get("/stream", media_type=HTML)
    async def stream() -> Any:
        return Stream(apieces())

    @get("/events", media_type=EVENT_STREAM)
    async def events() -> Any:
        return Stream(gate.aevents())

    @get("/next")
    async def proceed() -> str:
        return gate.open()

    return Litestar([whole, stream, events, proceed])


def rsgi() -> Any:
    gate = Gate()

    async def app(scope: Any, protocol: Any) -> None:
        html, events = [("content-type", HTML)], [("content-type", EVENT_STREAM)]
        match scope.path:
            case "/whole":
                protocol.response_str(200, html, TEXT)
            case "/stream":
                transport = protocol.response_stream(200, html)
                async for piece in apieces():
                    await transport.send_str(piece)
            case "/events":
                transport = protocol.response_stream(200, events)
                async for event in gate.aevents():
                    await transport.send_str(event)
            case _:
                protocol.response_str(200, [], gate.open())

    return app
