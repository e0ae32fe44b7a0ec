"""Applications of several frameworks that answer with the file of the variable `FILE`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

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

    return Litestar([get("/file", sync_to_thread=False)(file)])


def _django() -> None:
    from django.conf import settings
    from django.http import FileResponse
    from django.urls import path

    def file(request: Any) -> FileResponse:
        return FileResponse(open(FILE, "rb"))

    if not settings.configured:
        settings.configure(ROOT_URLCONF=(path("file", file),), ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=[])


def django_wsgi() -> Any:
    _django()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def django_asgi() -> Any:
    _django()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()
