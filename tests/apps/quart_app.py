"""The framework routes in Quart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from framework import LARGE, LINES, Boom, background, summary, thread_name
from quart import Quart, Response, current_app, request
from quart.utils import run_sync
from support import note

app = Quart(__name__)


@app.before_serving
async def startup() -> None:
    note("startup")
    app.config["GREETING"] = "home"


@app.after_serving
async def shutdown() -> None:
    note("shutdown")


@app.get("/")
async def home() -> Any:
    return Response(current_app.config["GREETING"], content_type="text/plain")


@app.get("/json/<int:n>")
async def get_json(n: int) -> Any:
    return {"n": n, "q": request.args.get("q")}


@app.post("/json")
async def post_json() -> Any:
    return await request.get_json()


@app.post("/upload")
async def upload() -> Any:
    form, files = await request.form, await request.files
    file = files["file"]
    return summary(form["field"], file.filename, file.content_type, file.read())


@app.get("/stream")
async def stream() -> Any:
    async def lines() -> AsyncIterator[bytes]:
        for line in LINES:
            yield line

    return Response(lines(), content_type="text/plain")


@app.get("/large")
async def large() -> Any:
    return Response(LARGE, content_type="application/octet-stream")


@app.get("/background")
async def run_background() -> Any:
    current_app.add_background_task(background, "quart")
    return Response("accepted", 202)


@app.get("/cookies")
async def cookies() -> Any:
    response = Response(request.cookies.get("seen", "none"))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.get("/boom")
async def boom() -> Any:
    raise Boom


@app.get("/sync")
async def sync() -> Any:
    return Response(await run_sync(thread_name)())
