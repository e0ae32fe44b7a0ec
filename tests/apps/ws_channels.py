"""Websocket consumers of Django Channels."""

from __future__ import annotations

from typing import Any

import django_views
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path
from support import note

django_views.setup()


class Echo(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept(next(iter(self.scope["subprotocols"]), None), headers=[(b"x-app", b"1")])

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)

    async def disconnect(self, code: int) -> None:
        # What applications do here must not fail: the client is gone already.
        await self.send("late")
        note("gone", [code])


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data, bytes_data)

    def disconnect(self, code: int) -> None:
        note("gone", [code])


class Refuse(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.close()


class Close(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.close(4000, "enough")

    async def disconnect(self, code: int) -> None:
        note("closed", code)


class Relay(AsyncWebsocketConsumer):
    """What one says, the whole group hears, through the channel layer."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("all", self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send("all", {"type": "relay", "text": text_data})

    async def relay(self, event: dict[str, Any]) -> None:
        await self.send(event["text"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("all", self.channel_name)
        note("gone", [code])


ROUTES: dict[str, Any] = {"relay": Relay, "echo": Echo, "sync": SyncEcho, "refuse": Refuse, "close": Close}
websockets = URLRouter([path(name, consumer.as_asgi()) for name, consumer in ROUTES.items()])
app = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": websockets})
