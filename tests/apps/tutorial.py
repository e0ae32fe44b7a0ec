"""Applications as tutorials write them, one for each interface, and a factory."""

import asyncio
from pathlib import Path

from granian.rsgi import HTTPProtocol, Scope
from granian.utils.proxies import wrap_asgi_with_proxy_headers, wrap_wsgi_with_proxy_headers


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"Echo: {message['text']}"})
        return
    text = "{scheme} {client[0]} {path}".format(**scope)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


def create_app():
    return app


async def rsgi(scope: Scope, proto: HTTPProtocol):
    if scope.proto == "ws":
        if scope.path == "/refused":
            return proto.close(status=4000)
        transport = await proto.accept()
        while True:
            message = await transport.receive()
            if message.kind == 0:
                return
            await transport.send_str(f"Echo: {message.data}")
    match scope.path:
        case "/text":
            await proto.response_str(status=200, headers=[("content-type", "text/plain")], body="text")
        case "/bytes":
            proto.response_bytes(200, [], await proto())
        case "/file":
            await proto.response_file(status=200, headers=[], file_path=str(Path(__file__).absolute()))
        case "/stream":
            transport = proto.response_stream(200, [("content-type", "text/event-stream")])
            for number in range(3):
                await transport.send_bytes(b"data: %d\n\n" % number)
                await asyncio.sleep(0)
        case _:
            await proto.response_empty(status=404, headers=[])


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"line %d\n" % number for number in range(3))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [
        "{wsgi.url_scheme} {REMOTE_ADDR} {PATH_INFO}".replace("{wsgi.url_scheme}", environ["wsgi.url_scheme"])
        .format(**environ)
        .encode()
    ]


behind_proxy = wrap_asgi_with_proxy_headers(app, trusted_hosts=["127.0.0.1", "10.0.0.0/8"])
wsgi_behind_proxy = wrap_wsgi_with_proxy_headers(wsgi, trusted_hosts="127.0.0.1")
