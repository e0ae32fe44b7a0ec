"""A gRPC service as an ASGI application: messages both ways as they come, the status in the trailers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
PREFIX = 5


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    assert "http.response.trailers" in scope["extensions"]
    kind = [(b"content-type", b"application/grpc")]
    await send({"type": "http.response.start", "status": 200, "headers": kind, "trailers": True})
    status, text = b"0", b""
    method = scope["path"].rpartition("/")[2]
    if method == "Fail":
        status, text = b"5", b"nothing here"
    else:
        async for message in messages(receive):
            for _ in range(int(message) if method == "Count" else 1):
                body = b"\0" + len(message).to_bytes(4, "big") + message
                await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body"})
    trailers = [(b"grpc-status", status), (b"grpc-message", text)]
    await send({"type": "http.response.trailers", "headers": trailers})


async def messages(receive: Receive) -> AsyncIterator[bytes]:
    """The messages of the request, each when its last byte is there."""
    held, more = b"", True
    while more:
        event = await receive()
        held, more = held + event.get("body", b""), event.get("more_body", False)
        while len(held) >= PREFIX and len(held) >= (end := PREFIX + int.from_bytes(held[1:PREFIX], "big")):
            yield held[PREFIX:end]
            held = held[end:]
