"""What an application sees of its client: the same facts on each interface, as JSON or a websocket's first message."""

from __future__ import annotations

import json
from typing import Any


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    facts = {
        "client": list(scope["client"] or ()),
        "scheme": scope["scheme"],
        "host": headers.get("host"),
        "root_path": scope["root_path"],
        "path": scope["path"],
        "raw_path": scope.get("raw_path", b"").decode("latin-1"),
        "version": scope["http_version"],
    }
    text = json.dumps(facts)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": text.encode()})


async def rsgi(scope: Any, protocol: Any) -> None:
    host, _, port = scope.client.rpartition(":")
    facts = {
        "client": [host.strip("[]"), int(port)] if port else [],
        "scheme": scope.scheme,
        "host": scope.authority or scope.headers.get("host"),
        "root_path": scope.root_path,
        "path": scope.path,
        "version": scope.http_version,
    }
    text = json.dumps(facts)
    if scope.proto == "ws":
        transport = await protocol.accept()
        await transport.send_str(text)
        while (message := await transport.receive()).data is not None:
            await transport.send_str(message.data)
        return
    protocol.response_str(200, [("content-type", "application/json")], text)


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    port = environ.get("REMOTE_PORT")
    facts = {
        "client": [environ["REMOTE_ADDR"], int(port)] if port else [],
        "scheme": environ["wsgi.url_scheme"],
        "https": environ.get("HTTPS"),
        "host": environ.get("HTTP_HOST"),
        "root_path": environ["SCRIPT_NAME"],
        "path": environ["SCRIPT_NAME"] + environ["PATH_INFO"],
        "version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]
