"""Texts by Starlette: `/whole/NAME` at once, `/stream/NAME` in pieces of 8 KiB; plain, and behind its middleware."""

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from texts import TEXTS, TYPES  # type: ignore[import-not-found]

PIECE = 8 * 1024


async def whole(request: Request) -> Response:
    name = request.path_params["name"]
    return Response(TEXTS[name], media_type=TYPES[name.partition(".")[2]])


async def stream(request: Request) -> Response:
    name = request.path_params["name"]

    async def pieces() -> AsyncIterator[bytes]:
        text = TEXTS[name]
        for start in range(0, len(text), PIECE):
            yield text[start : start + PIECE]

    return StreamingResponse(pieces(), media_type=TYPES[name.partition(".")[2]])


app = Starlette(routes=[Route("/whole/{name}", whole), Route("/stream/{name}", stream)])
# The middleware's own level, and the server's.
level_9 = GZipMiddleware(app)
level_4 = GZipMiddleware(app, compresslevel=4)
