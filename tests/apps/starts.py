"""Applications for ASGI and RSGI that show when a new request starts beside Python code that is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any
from urllib.parse import parse_qs

from support import note, work_until_sync

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Seconds after which the answers to the requests before have left, and no turn is planned.
QUIET = 0.05
ORDER: list[str] = []
EVENTS: dict[str, asyncio.Event] = {}
TOKENS: list[asyncio.Queue[None]] = []
HELD: list[asyncio.Future[None]] = []
# Futures of which one is to have a certain address.
MANY = 4096


def event(name: str) -> asyncio.Event:
    return EVENTS.setdefault(name, asyncio.Event())


def tokens() -> asyncio.Queue[None]:
    """A queue with the only token."""
    if not TOKENS:
        TOKENS.append(asyncio.Queue())
        TOKENS[0].put_nowait(None)
    return TOKENS[0]


class Watched:
    """An awaitable that keeps the address of the last future that it has waited for."""

    def __init__(self, inner: Awaitable[object]) -> None:
        self.address = 0
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, None]:
        for waits_for in self._inner.__await__():
            if waits_for is not None:
                self.address = id(waits_for)
            yield waits_for


async def wait_at_address_of_client(read: Callable[[], Awaitable[object]]) -> None:
    """Has a task wait for the client, and then waits for a future at the address where that task's was."""

    async def child() -> None:
        note("reading")
        await watched

    watched = Watched(read())
    await asyncio.create_task(child())
    futures: list[asyncio.Future[None]] = []
    while len(futures) < MANY and (not futures or id(futures[-1]) != watched.address):
        futures.append(asyncio.get_running_loop().create_future())
    # Something else may have that memory.
    is_there = id(futures[-1]) == watched.address
    if is_there:
        HELD.append(futures[-1])
    note("waiting", is_there)
    if is_there:
        await futures[-1]


async def wait_until_open(by_yielding: bool) -> None:
    note("yielding" if by_yielding else "waiting")
    while by_yielding and not event("open").is_set():
        await asyncio.sleep(0)
    await event("open").wait()
    event("open").clear()


def last_of_this_pass(callback: Callable[[], object]) -> None:
    """Has the loop call it so that nothing but its look at the sockets follows: uvloop starts no pass without one."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.BaseEventLoop):
        loop.call_soon(callback)
    else:
        callback()


def block(gate: str) -> None:
    """Python code that takes its time, and makes other code ready at its end."""
    work_until_sync(gate)
    last_of_this_pass(lambda: asyncio.get_running_loop().call_soon(ORDER.append, "ready"))


async def serve(path: str, given: dict[str, str], read: Callable[[], Awaitable[object]]) -> str:
    """The body of the answer. Requests are told by `name`; `gate` is a file that the test makes."""
    if path == "/order":
        order = " ".join(ORDER)
        ORDER.clear()
        return order
    if path == "/block":
        loop = asyncio.get_running_loop()
        loop.call_later(QUIET, loop.call_soon, block, given["gate"])
    elif path == "/hold":
        await tokens().get()
        note("holding")
        await event("asked").wait()
        event("asked").clear()
        await asyncio.sleep(QUIET)
        work_until_sync(given["gate"])
        last_of_this_pass(lambda: tokens().put_nowait(None))
    elif path == "/take":
        event("asked").set()
        await tokens().get()
        tokens().put_nowait(None)
    elif path in ("/wait", "/yield"):
        await wait_until_open(path == "/yield")
    elif path == "/child":
        await wait_at_address_of_client(read)
    elif path == "/resolve":
        HELD.pop().set_result(None)
    elif path == "/open":
        event("open").set()
    elif path == "/read":
        note("reading")
        await read()
    if "name" in given:
        ORDER.append(given["name"])
    return "done"


def arguments(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


async def asgi(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    async def read() -> None:
        while (await receive()).get("more_body"):
            pass

    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        note("reading")
        await receive()
        return
    body = (await serve(scope["path"], arguments(scope["query_string"].decode()), read)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def rsgi(scope: Any, protocol: Any) -> None:
    if scope.proto == "ws":
        transport = await protocol.accept()
        note("reading")
        await transport.receive()
        return
    body = await serve(scope.path, arguments(scope.query_string), protocol)
    protocol.response_str(200, [], body)
