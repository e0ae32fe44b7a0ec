"""The framework routes in Falcon over WSGI."""

from __future__ import annotations

from wsgiref.validate import validator

import falcon
from falcon import Request, Response
from framework import LARGE, LINES, Boom, summary, thread_name


class Routes:
    """One responder for each route."""

    def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type, resp.text = "text/plain", "home"

    def on_get_json(self, req: Request, resp: Response, n: int) -> None:
        resp.media = {"n": n, "q": req.get_param("q")}

    def on_post_plain(self, req: Request, resp: Response) -> None:
        resp.media = req.get_media()

    def on_post_upload(self, req: Request, resp: Response) -> None:
        field, found = "", {}
        for part in req.get_media():
            if part.name == "field":
                field = part.text
            else:
                found = summary("", part.filename, part.content_type, part.stream.read())
        resp.media = {**found, "field": field}

    def on_get_stream(self, req: Request, resp: Response) -> None:
        resp.content_type, resp.stream = "text/plain", iter(LINES)

    def on_get_large(self, req: Request, resp: Response) -> None:
        resp.content_type, resp.data = "application/octet-stream", LARGE

    def on_get_cookies(self, req: Request, resp: Response) -> None:
        resp.text = req.cookies.get("seen", "none")
        resp.set_cookie("a", "1", secure=False)
        resp.set_cookie("b", "2", secure=False)

    def on_get_boom(self, req: Request, resp: Response) -> None:
        raise Boom

    def on_get_sync(self, req: Request, resp: Response) -> None:
        resp.text = thread_name()


routes = Routes()
falcon_app = falcon.App()
falcon_app.add_route("/", routes)
falcon_app.add_route("/json/{n:int}", routes, suffix="json")
falcon_app.add_route("/json", routes, suffix="plain")
for name in ("upload", "stream", "large", "cookies", "boom", "sync"):
    falcon_app.add_route(f"/{name}", routes, suffix=name)
app = validator(falcon_app)
