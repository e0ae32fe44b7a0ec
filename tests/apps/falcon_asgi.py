"""The framework routes in Falcon over ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import falcon.asgi
from falcon.asgi import Request, Response
from framework import LARGE, LINES, Boom, background, summary
from support import note


class Lifespan:
    """Falcon's middleware for the application's life."""

    async def process_startup(self, scope: Any, event: Any) -> None:
        note("startup")

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        note("shutdown")


class Routes:
    """One responder for each route."""

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type, resp.text = "text/plain", "home"

    async def on_get_json(self, req: Request, resp: Response, n: int) -> None:
        resp.media = {"n": n, "q": req.get_param("q")}

    async def on_post_plain(self, req: Request, resp: Response) -> None:
        resp.media = await req.get_media()

    async def on_post_upload(self, req: Request, resp: Response) -> None:
        field, found = "", {}
        async for part in await req.get_media():
            if part.name == "field":
                field = await part.text
            else:
                found = summary("", part.filename, part.content_type, await part.stream.read())
        resp.media = {**found, "field": field}

    async def on_get_stream(self, req: Request, resp: Response) -> None:
        async def lines() -> AsyncIterator[bytes]:
            for line in LINES:
                yield line

        resp.content_type, resp.stream = "text/plain", lines()

    async def on_get_large(self, req: Request, resp: Response) -> None:
        resp.content_type, resp.data = "application/octet-stream", LARGE

    async def on_get_background(self, req: Request, resp: Response) -> None:
        resp.status, resp.text = 202, "accepted"
        resp.schedule_sync(lambda: background("falcon"))

    async def on_get_cookies(self, req: Request, resp: Response) -> None:
        resp.text = req.cookies.get("seen", "none")
        resp.set_cookie("a", "1", secure=False)
        resp.set_cookie("b", "2", secure=False)

    async def on_get_boom(self, req: Request, resp: Response) -> None:
        raise Boom


app = falcon.asgi.App(middleware=[Lifespan()])
routes = Routes()
app.add_route("/", routes)
app.add_route("/json/{n:int}", routes, suffix="json")
app.add_route("/json", routes, suffix="plain")
for name in ("upload", "stream", "large", "background", "cookies", "boom"):
    app.add_route(f"/{name}", routes, suffix=name)
