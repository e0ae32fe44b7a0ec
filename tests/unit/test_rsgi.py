"""`granian.rsgi`: what an application gets is an instance of the types it is annotated with."""

from __future__ import annotations

import asyncio

from granian import rsgi
from granian.server.embed import Server


def test_instances():
    seen: dict[str, bool] = {}

    async def app(scope, protocol):
        seen["scope"] = isinstance(scope, rsgi.Scope)
        seen["headers"] = isinstance(scope.headers, rsgi.Headers)
        seen["protocol"] = isinstance(protocol, rsgi.HTTPProtocol) and not isinstance(protocol, rsgi.WebsocketProtocol)
        stream = protocol.response_stream(200, [])
        seen["stream"] = isinstance(stream, rsgi.HTTPStreamTransport)
        await stream.send_bytes(b"hello")

    async def main() -> None:
        async with Server(app, port=0, interface="rsgi") as server:
            host, _, port = str(server.url).removeprefix("http://").rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"hello" in await reader.read()
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())
    assert seen == dict.fromkeys(("scope", "headers", "protocol", "stream"), True)


def test_doubles():
    """Tests of applications make them up."""

    class Scope(rsgi.Scope):
        proto = "http"

    assert isinstance(Scope(), rsgi.Scope)
    assert not isinstance(object(), rsgi.Scope | rsgi.HTTPProtocol | rsgi.WebsocketProtocol)
    assert isinstance(rsgi.WebsocketMessage(), rsgi.WebsocketMessage)
