"""Applications whose objects call back into the server from where it runs their code."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Message], Awaitable[None]]

LARGE = b"x" * 100_000
hooks: list[Callable[[], None]] = []
outcomes: list[str] = []
original = asyncio.BaseEventLoop.create_future


def create_future(loop: asyncio.AbstractEventLoop) -> Any:
    """What the server calls amid a step."""
    while hooks:
        hooks.pop()()
    return original(loop)


asyncio.BaseEventLoop.create_future = create_future  # type: ignore[method-assign]


def attempt(call: Callable[[], Any]) -> None:
    """Calls, without waiting for anything, and keeps what that came to."""
    try:
        call()
        outcomes.append("ok")
    except BaseException as error:
        outcomes.append(type(error).__name__)


def on_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(5)
    outcomes.append("stuck" if thread.is_alive() else "done")


def start(status: int = 200, headers: Any = ()) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: Any, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Dying(bytes):
    """Calls when it is freed."""

    call: Callable[[], Any]

    def __del__(self) -> None:
        attempt(self.call)


class Owned:
    """Can be watched by weak references, as `bytes` can't."""


class Owning(bytes):
    owned: Owned


class Pairs:
    """Fields that call while they are read."""

    def __init__(self, call: Callable[[], Any], pairs: list[Any]) -> None:
        self.call, self.pairs = call, pairs

    def __iter__(self) -> Iterator[Any]:
        attempt(self.call)
        return iter(self.pairs)

    def __len__(self) -> int:
        attempt(self.call)
        return len(self.pairs)

    def __getitem__(self, at: int) -> Any:
        return self.pairs[at]


class Status:
    """A number that calls when it is asked for."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def __index__(self) -> int:
        attempt(self.call)
        return 200


class Truth:
    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def __bool__(self) -> bool:
        attempt(self.call)
        return False


async def step_within_step(receive: Receive, send: Send) -> None:
    await receive()
    waiting = receive()

    def step() -> None:
        for call in (lambda: waiting.send(None), waiting.close, lambda: waiting.throw(ValueError())):
            attempt(call)

    hooks.append(step)
    assert asyncio.isfuture(waiting.send(None))
    hooks.append(lambda: on_thread(step))
    assert asyncio.isfuture(waiting.send(None))
    waiting.close()
    attempt(lambda: waiting.send(None))
    await send(start())
    await send(body(b"stepped"))


async def send_within_headers(receive: Receive, send: Send) -> None:
    pairs = Pairs(lambda: send(start(201)), [(b"a", b"b")])
    attempt(lambda: send(start(202, pairs)))
    await send(body(b"sent"))


async def send_within_field(receive: Receive, send: Send) -> None:
    pair = Pairs(lambda: send(start(201)), [b"a", b"b"])
    attempt(lambda: send(start(202, [pair])))
    await send(body(b"sent"))


async def send_within_status(receive: Receive, send: Send) -> None:
    attempt(lambda: send(start(Status(lambda: send(start(201))))))  # type: ignore[arg-type]
    await send(body(b"sent"))


async def send_within_truth(receive: Receive, send: Send) -> None:
    await send(start(201))
    attempt(lambda: send(body(b"late", Truth(lambda: send(body(b"sent"))))))  # type: ignore[arg-type]


async def free_pieces(send: Send, make: Callable[[], bytes]) -> None:
    """Sends what `make` gives, which is freed amid the writing."""
    await send(start(201))
    for _ in range(5):
        message = body(make(), True)
        await send(message)
    del message
    await send(body(b""))


async def send_within_del(receive: Receive, send: Send) -> None:
    def make() -> bytes:
        data = Dying(LARGE)
        data.call = lambda: (send(body(b"y" * 70_000, True)), receive().close())
        return data

    await free_pieces(send, make)


async def send_within_weak_reference(receive: Receive, send: Send) -> None:
    def make() -> bytes:
        data = Owning(LARGE)
        data.owned = Owned()
        weakref.finalize(data.owned, attempt, lambda: send(body(b"y" * 70_000, True)))
        return data

    await free_pieces(send, make)


async def send_within_collection(receive: Receive, send: Send) -> None:
    """The garbage collector runs at every allocation, and calls."""

    def collected(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            attempt(lambda: receive().close())

    threshold = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(1)
    try:
        await receive()
        await send(start(201))
        for _ in range(20):
            await send(body(LARGE, True))
    finally:
        gc.callbacks.remove(collected)
        gc.set_threshold(*threshold)
    await send(body(b""))


async def sends_on_threads(receive: Receive, send: Send) -> None:
    await send(start(201))

    def flood() -> None:
        for _ in range(50):
            send(body(b"x" * 1000, True))

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await send(body(b"x" * 1000, True))
    await send(body(b""))


async def accept_within_headers(receive: Receive, send: Send) -> None:
    pairs = Pairs(lambda: send({"type": "websocket.accept"}), [(b"a", b"b")])
    attempt(lambda: send({"type": "websocket.accept", "headers": pairs}))
    await send({"type": "websocket.send", "text": "accepted"})


async def message_within_del(receive: Receive, send: Send) -> None:
    """Messages are freed when the socket has taken them."""
    await send({"type": "websocket.accept"})
    for _ in range(5):
        data = Dying(LARGE)
        data.call = lambda: send({"type": "websocket.send", "bytes": b"y" * 70_000})
        message = {"type": "websocket.send", "bytes": data}
        del data
        await send(message)
    del message
    await receive()
    await receive()


ASGI = {
    function.__name__: function
    for function in (
        step_within_step,
        send_within_headers,
        send_within_field,
        send_within_status,
        send_within_truth,
        send_within_del,
        send_within_weak_reference,
        send_within_collection,
        sends_on_threads,
        accept_within_headers,
        message_within_del,
    )
}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    name = scope["path"][1:]
    if name in ASGI:
        await ASGI[name](receive, send)
        return
    await send(start())
    await send(body(" ".join(outcomes).encode()))
    outcomes.clear()


async def rsgi(scope: Any, protocol: Any) -> None:
    name = scope.path[1:]
    if name == "respond_within_headers":
        pairs = Pairs(lambda: protocol.response_str(201, [], "first"), [("a", "b")])
        attempt(lambda: protocol.response_str(202, pairs, "second"))
    elif name == "respond_within_body":
        data = Dying(LARGE)
        data.call = lambda: (protocol.response_str(202, [], "late"), protocol.client_disconnect().close())
        protocol.response_bytes(201, [], data)
        del data
    elif name == "read_within_read":
        whole = protocol()
        hooks.append(lambda: attempt(protocol))
        hooks.append(lambda: attempt(lambda: whole.send(None)))
        data = await whole
        protocol.response_bytes(201, [], data)
    elif name == "stream_within_del":
        transport = protocol.response_stream(201, [])
        for _ in range(5):
            data = Dying(LARGE)
            data.call = lambda: transport.send_bytes(b"y" * 70_000)
            sent = transport.send_bytes(data)
            del data
            await sent
    else:
        protocol.response_str(200, [], " ".join(outcomes))
        outcomes.clear()


def wsgi(environ: Any, start_response: Any) -> Any:
    name = environ["PATH_INFO"][1:]
    if name == "start_within_body":
        return StartingBody(start_response)
    if name == "write_within_del":
        write = start_response("201 Created", [])
        data = Dying(LARGE)
        data.call = lambda: write(b"y" * 70_000)
        return [data, b"end"]
    if name == "read_on_threads":
        return read_on_threads(environ["wsgi.input"].read, start_response)
    start_response("200 OK", [])
    found = " ".join(outcomes).encode()
    outcomes.clear()
    return [found]


class StartingBody:
    """Starts the response when the server asks for its first piece, and again at its end."""

    def __init__(self, start_response: Any) -> None:
        self.start_response = start_response
        self.pieces = [b"one", b"two"]

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self.pieces:
            raise StopIteration
        attempt(lambda: self.start_response("201 Created", [])(b"<"))
        return self.pieces.pop(0)

    def close(self) -> None:
        attempt(lambda: self.start_response("500 Late", []))


def read_on_threads(read: Any, start_response: Any) -> list[bytes]:
    """Threads share the stream: each byte goes to one of them, and all see its end."""
    pieces: list[bytes] = []

    def drain() -> None:
        while piece := read(1000):
            pieces.append(piece)

    threads = [threading.Thread(target=drain, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
        outcomes.append("stuck" if thread.is_alive() else "done")
    start_response("201 Created", [])
    return [str(sum(map(len, pieces))).encode()]
