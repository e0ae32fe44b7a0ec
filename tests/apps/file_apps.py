"""Applications of several frameworks that answer with the file of the variable `FILE`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from support import note

FILE = os.environ.get("FILE", "")


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import FileResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    folder = StaticFiles(directory=Path(FILE).parent)
    return Starlette(routes=[Route("/file", lambda request: FileResponse(FILE)), Mount("/folder", folder)])


def flask() -> Any:
    from flask import Flask, send_file

    app = Flask(__name__)
    app.add_url_rule("/file", view_func=lambda: send_file(FILE), endpoint="file")
    return app


def flask_named() -> Any:
    """Leaves the sending to the server."""
    app = flask()
    app.config["USE_X_SENDFILE"] = True
    return app


def litestar() -> Any:
    from litestar import Litestar, get
    from litestar.response import File

    def file() -> Any:
        return File(FILE)

    return noting(Litestar([get("/file", sync_to_thread=False)(file)]))


def litestar_named() -> Any:
    """Leaves the sending to the server."""
    from litestar import Litestar, Response, get

    def file() -> Any:
        return Response(b"", headers={"X-Sendfile": FILE})

    return Litestar([get("/file", sync_to_thread=False)(file)])


def noting(app: Any) -> Any:
    """An ASGI application that notes the kinds of messages of each response, and whether files might be named."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        kinds = set()

        async def noted(message: Any) -> None:
            kinds.add(message["type"])
            await send(message)

        await app(scope, receive, noted)
        if scope["type"] == "http":
            note("sent", ["http.response.pathsend" in scope["extensions"], *sorted(kinds)])

    return outer


def _django() -> None:
    from django.conf import settings
    from django.http import FileResponse, HttpResponse
    from django.urls import path

    def file(request: Any) -> FileResponse:
        return FileResponse(open(FILE, "rb"))

    def named(request: Any) -> HttpResponse:
        return HttpResponse(headers={"X-Sendfile": FILE})

    if not settings.configured:
        routes = (path("file", file), path("named", named))
        settings.configure(ROOT_URLCONF=routes, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=[])


def django_wsgi() -> Any:
    _django()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def django_asgi() -> Any:
    _django()
    from django.core.asgi import get_asgi_application

    return noting(get_asgi_application())


def django_asgi_named() -> Any:
    """Leaves the sending to the server."""
    return django_asgi()
