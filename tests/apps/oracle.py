"""An ASGI application that tells what it got: all of a request, in a header of the answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    if message["type"] == "http.disconnect":
        return  # cut off or refused: not a request
    seen = {
        "method": scope["method"],
        "path": scope["raw_path"].decode("latin-1"),
        "query": scope["query_string"].decode("latin-1"),
        "version": scope["http_version"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": (body + message["body"]).decode("latin-1"),
    }
    # HEAD has no body to tell it in.
    headers = [(b"x-seen", json.dumps(seen).encode())]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body"})
