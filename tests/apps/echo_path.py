"""A WSGI application that answers every path with that path, in latin-1."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator


@validator
def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain"), ("X-Script-Name", environ["SCRIPT_NAME"])]
    start_response("200 OK", headers)
    return [environ["PATH_INFO"].encode("latin-1")]
