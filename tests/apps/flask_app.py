"""The framework routes in Flask."""

from __future__ import annotations

import io
from typing import Any
from wsgiref.validate import validator

from flask import Flask, Response, request
from framework import LARGE, LINES, Boom, summary, thread_name

flask = Flask(__name__)


class Input(io.RawIOBase):
    """Flask calls `read()` where the validator wants `read(size)`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@validator
def app(environ: dict[str, Any], start_response: Any) -> Any:
    environ["wsgi.input"] = io.BufferedReader(Input(environ["wsgi.input"]))
    return flask(environ, start_response)


@flask.get("/")
def home() -> Any:
    return Response("home", content_type="text/plain")


@flask.get("/json/<int:n>")
def get_json(n: int) -> Any:
    return {"n": n, "q": request.args.get("q")}


@flask.post("/json")
def post_json() -> Any:
    return request.get_json()


@flask.post("/upload")
def upload() -> Any:
    file = request.files["file"]
    return summary(request.form["field"], file.filename or "", file.content_type or "", file.read())


@flask.get("/stream")
def stream() -> Any:
    return Response(iter(LINES), content_type="text/plain")


@flask.get("/large")
def large() -> Any:
    return Response(LARGE, content_type="application/octet-stream")


@flask.get("/cookies")
def cookies() -> Any:
    response = Response(request.cookies.get("seen", "none"))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@flask.get("/boom")
def boom() -> Any:
    raise Boom


@flask.get("/sync")
def sync() -> Any:
    return Response(thread_name())
