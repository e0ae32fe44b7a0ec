"""A middleware that knows the messages of a body only, around files; one application that answers nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from support import note

HERE = Path(__file__).parent


async def file(request: Any) -> Any:
    return FileResponse(__file__)


async def extensions(request: Any) -> Any:
    return PlainTextResponse(" ".join(sorted(request.scope["extensions"])))


starlette = Starlette(
    routes=[
        Route("/file", file, methods=["GET", "POST"]),
        Route("/extensions", extensions),
        Mount("/static", StaticFiles(directory=HERE)),
    ]
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Holds the head until the body comes, as compressing middleware does."""
    if scope["type"] != "http":
        return await starlette(scope, receive, send)
    if scope["path"] == "/nothing":
        note("called", [scope["method"], (await receive())["type"]])
        return
    head: Any = None

    async def hold(message: Any) -> None:
        nonlocal head
        if message["type"] == "http.response.start":
            head = message
        elif message["type"] == "http.response.body":
            if head is not None:
                await send(head)
                head = None
            await send(message)

    await starlette(scope, receive, hold)
