"""Applications that answer every path with that path: in UTF-8, over WSGI in latin-1."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator


async def asginl(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def rsgi(scope: Any, protocol: Any) -> None:
    protocol.response_str(200, [], scope.path)


@validator
def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Script-Name", environ["SCRIPT_NAME"])])
    return [environ["PATH_INFO"].encode("latin-1")]
