"""Websocket routes of real frameworks through real clients."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from .server import Server

FRAMEWORKS = ["starlette", "fastapi", "litestar", "quart", "channels"]
CLIENTS = ["websockets", "aiohttp"]
MESSAGES = ["text", b"bytes", "κόσμε" * 1000, b"x" * 300_000]


def skip_unless_installed(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


@pytest.fixture(params=FRAMEWORKS)
def app(request, server, loop) -> Server:
    skip_unless_installed(request.param)
    return server(f"ws_{request.param}:app", "asgi", loop=loop)


@pytest.fixture(params=CLIENTS)
def client(request, app) -> Callable[[str], Awaitable[Any]]:
    """Opens a path, exchanges the messages, closes with 3001 from here; tells what it saw."""
    skip_unless_installed(request.param)
    url = app.url.replace("http", "ws")
    return {"websockets": with_websockets, "aiohttp": with_aiohttp}[request.param](url)


def with_websockets(url: str) -> Callable[[str], Awaitable[Any]]:
    import websockets

    async def run(path: str) -> Any:
        try:
            async with websockets.connect(url + path, subprotocols=["chat", "other"], proxy=None) as websocket:  # type: ignore[list-item]
                try:
                    for message in MESSAGES:
                        await websocket.send(message)
                        assert await websocket.recv() == message
                except websockets.ConnectionClosed:
                    return websocket.close_code, websocket.close_reason
                await websocket.close(3001, "bye")
                assert websocket.response is not None
                return websocket.subprotocol, websocket.response.headers["x-app"], websocket.close_code
        except websockets.InvalidStatus as error:
            return error.response.status_code

    return run


def with_aiohttp(url: str) -> Callable[[str], Awaitable[Any]]:
    import aiohttp

    async def run(path: str) -> Any:
        async with aiohttp.ClientSession() as session:
            try:
                websocket = await session.ws_connect(url + path, protocols=["chat", "other"], compress=15)
            except aiohttp.WSServerHandshakeError as error:
                return error.status
            for message in MESSAGES:
                try:
                    await (websocket.send_str if isinstance(message, str) else websocket.send_bytes)(message)  # type: ignore[arg-type]
                except ConnectionError:
                    pass
                received = await websocket.receive()
                if received.type is aiohttp.WSMsgType.CLOSE:
                    return received.data, received.extra
                assert received.data == message
            await websocket.close(code=3001, message=b"bye")
            return websocket.protocol, websocket._response.headers["x-app"], websocket.close_code

    return run


def test_echo(app, client):
    mark = app.mark()
    assert asyncio.run(client("/echo")) == ("chat", "1", 3001)
    gone = app.note("gone", mark)
    assert gone in ([3001, "bye"], [3001], [])


def test_refusal(app, client):
    assert asyncio.run(client("/refuse")) == 403


def test_close(app, client):
    mark = app.mark()
    assert asyncio.run(client("/close")) == (4000, "enough")
    if "channels" in app.spec.target:
        assert app.note("closed", mark) == 4000


def test_channels_threads(server, loop):
    skip_unless_installed("channels", "websockets")
    import websockets.sync.client

    app = server("ws_channels:app", "asgi", loop=loop)
    mark = app.mark()
    with websockets.sync.client.connect(app.url.replace("http", "ws") + "/sync", proxy=None) as websocket:
        for message in MESSAGES:
            websocket.send(message)
            assert websocket.recv() == message
    assert app.note("gone", mark) == [1000]


def test_channels_relay_bursts(server, loop):
    skip_unless_installed("channels", "websockets")
    import websockets

    app = server("ws_channels:app", "asgi", loop=loop)
    mark = app.mark()

    async def run() -> None:
        url = app.url.replace("http", "ws") + "/relay"
        async with websockets.connect(url, proxy=None) as one, websockets.connect(url, proxy=None) as other:
            for burst in range(20):
                sent = [f"{burst}.{number}" for number in range(50)]
                for message in sent:
                    await one.send(message)
                assert [await other.recv() for _ in sent] == sent
                assert [await one.recv() for _ in sent] == sent

    asyncio.run(run())
    assert app.note("gone", mark) == [1000]


def test_starlette_denial(server, loop):
    skip_unless_installed("starlette", "websockets")
    import websockets.sync.client

    app = server("ws_starlette:app", "asgi", loop=loop)
    with pytest.raises(websockets.InvalidStatus) as refused:
        websockets.sync.client.connect(app.url.replace("http", "ws") + "/deny", proxy=None)
    assert (refused.value.response.status_code, refused.value.response.body) == (401, b"who are you")
