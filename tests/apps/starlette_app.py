"""The framework routes in Starlette."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from framework import LARGE, LINES, Boom, background, summary, thread_name
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from support import note


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    note("startup")
    yield {"greeting": "home"}
    note("shutdown")


async def home(request: Request) -> Response:
    return PlainTextResponse(request.state.greeting)


async def get_json(request: Request) -> Response:
    return JSONResponse({"n": request.path_params["n"], "q": request.query_params.get("q")})


async def post_json(request: Request) -> Response:
    return JSONResponse(await request.json())


async def upload(request: Request) -> Response:
    async with request.form() as form:
        file = form["file"]
        return JSONResponse(summary(form["field"], file.filename, file.content_type, await file.read()))


async def stream(request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        for line in LINES:
            yield line

    return StreamingResponse(lines(), media_type="text/plain")


async def large(request: Request) -> Response:
    return Response(LARGE)


async def run_background(request: Request) -> Response:
    return PlainTextResponse("accepted", 202, background=BackgroundTask(background, "starlette"))


async def cookies(request: Request) -> Response:
    response = PlainTextResponse(request.cookies.get("seen", "none"))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def boom(request: Request) -> Response:
    raise Boom


def sync(request: Request) -> Response:
    return PlainTextResponse(thread_name())


app = Starlette(
    routes=[
        Route("/", home),
        Route("/json/{n:int}", get_json),
        Route("/json", post_json, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/large", large),
        Route("/background", run_background),
        Route("/cookies", cookies),
        Route("/boom", boom),
        Route("/sync", sync),
    ],
    lifespan=lifespan,
)
