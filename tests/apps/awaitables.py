"""An ASGI application whose paths use `receive` and `send` in every way coroutines can be used.

Each check returns what to answer with, or raises; the answer goes out after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from support import note

Check = Callable[[dict[str, Any], Callable[..., Any], Callable[..., Any]], Awaitable[Any]]

CHECKS: dict[str, Check] = {}
START = {"type": "http.response.start", "status": 200, "headers": []}
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    name = scope["path"].strip("/")
    result = await CHECKS[name](scope, receive, send)
    if result is not None:
        await send(START)
        await send({"type": "http.response.body", "body": str(result).encode()})


async def body_of(receive: Any, wrap: Callable[[Any], Any] = lambda awaitable: awaitable) -> bytes:
    """The whole request body, each message awaited through `wrap`."""
    body, more = b"", True
    while more:
        message = await wrap(receive())
        body += message["body"]
        more = message["more_body"]
    return body


@check
async def create_task(scope: Any, receive: Any, send: Any) -> None:
    body = await body_of(receive, asyncio.create_task)
    await asyncio.create_task(send(START))
    await asyncio.create_task(send({"type": "http.response.body", "body": body}))


@check
async def gather(scope: Any, receive: Any, send: Any) -> None:
    body, _ = await asyncio.gather(body_of(receive), send(START))
    await asyncio.gather(send({"type": "http.response.body", "body": body}))


@check
async def wait_for(scope: Any, receive: Any, send: Any) -> Any:
    body = await body_of(receive, lambda awaitable: asyncio.wait_for(awaitable, 5))
    try:
        await asyncio.wait_for(receive(), 0.01)
    except asyncio.TimeoutError:
        return body.decode()


@check
async def ensure_future(scope: Any, receive: Any, send: Any) -> Any:
    return (await body_of(receive, asyncio.ensure_future)).decode()


@check
async def shield(scope: Any, receive: Any, send: Any) -> Any:
    return (await body_of(receive, asyncio.shield)).decode()


@check
async def awaitable(scope: Any, receive: Any, send: Any) -> Any:
    made = send(START)
    assert inspect.isawaitable(made)
    await made
    body = await body_of(receive)
    made = receive()
    assert inspect.isawaitable(made)
    await send({"type": "http.response.body", "body": body})
    assert (await made)["type"] == "http.disconnect"


@check
async def timeout(scope: Any, receive: Any, send: Any) -> Any:
    body = (await body_of(receive)).decode()
    if sys.version_info < (3, 11):
        return body
    try:
        async with asyncio.timeout(0.01):
            await receive()
    except TimeoutError:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return body


@check
async def timeout_around_everything(scope: Any, receive: Any, send: Any) -> None:
    """The timer must not outlive the request that was fast enough."""
    async with asyncio.timeout(0.5) if sys.version_info >= (3, 11) else contextlib.nullcontext():
        with anyio.fail_after(0.5):
            body = await body_of(receive)
            await send(START)
            await send({"type": "http.response.body", "body": body})


@check
async def never_awaited(scope: Any, receive: Any, send: Any) -> str:
    """Calls that nobody waits for do no harm, now or when the server stops."""
    body = (await body_of(receive)).decode()
    receive()
    kept.append(receive())
    return body


kept: list[Any] = []


@check
async def send_never_awaited(scope: Any, receive: Any, send: Any) -> None:
    """The message may leave or not; the request ends either way."""
    await send(START)
    await send({"type": "http.response.body", "body": await body_of(receive), "more_body": True})
    kept.append(send({"type": "http.response.body", "body": b"!", "more_body": True}))
    await send({"type": "http.response.body", "body": b""})


@check
async def cancelled_receive(scope: Any, receive: Any, send: Any) -> Any:
    """A receive that is cancelled takes nothing with it."""
    body = (await body_of(receive)).decode()
    for _ in range(3):
        task = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return body


@check
async def concurrent_sends(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(START)
    pieces = [{"type": "http.response.body", "body": b"%d" % n, "more_body": True} for n in range(5)]
    await asyncio.gather(*(send(piece) for piece in pieces))
    await send({"type": "http.response.body", "body": b""})


@check
async def current_task(scope: Any, receive: Any, send: Any) -> bool:
    task = asyncio.current_task()
    seen = [isinstance(task, asyncio.Task), task in asyncio.all_tasks(), task.get_coro() is not None]
    await receive()
    await asyncio.sleep(0)
    return all([*seen, asyncio.current_task() is task, task.cancelling() == 0 if hasattr(task, "cancelling") else True])


@check
async def loop(scope: Any, receive: Any, send: Any) -> str:
    running = asyncio.get_running_loop()
    assert running is asyncio.get_event_loop()
    assert running.is_running()
    assert threading.current_thread() is threading.main_thread()
    return type(running).__module__


@check
async def context(scope: Any, receive: Any, send: Any) -> str:
    """What one request sets, no other sees, before or after it has waited."""
    before = variable.get()
    variable.set(scope["query_string"].decode())
    await receive()
    await asyncio.sleep(0.01)
    inside = await asyncio.create_task(read_variable())
    return f"{before} {variable.get()} {inside}"


async def read_variable() -> str:
    return variable.get()


@check
async def context_reset(scope: Any, receive: Any, send: Any) -> str:
    """A token made before a wait is still good after it."""
    token = variable.set("one")
    await receive()
    await asyncio.sleep(0)
    variable.reset(token)
    return variable.get()


@check
async def cancel_scope(scope: Any, receive: Any, send: Any) -> Any:
    body = (await body_of(receive)).decode()
    with anyio.move_on_after(0.01) as limit:
        await receive()
    with anyio.CancelScope() as outer:
        outer.cancel()
        await anyio.sleep(0)
    assert outer.cancelled_caught
    return body if limit.cancelled_caught else "not cancelled"


@check
async def task_group(scope: Any, receive: Any, send: Any) -> None:
    """As frameworks stream: one task sends, the other watches the client."""
    body = await body_of(receive)
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            await receive()
            group.cancel_scope.cancel()

        group.start_soon(watch)
        await send(START)
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        group.cancel_scope.cancel()


@check
async def worker_thread(scope: Any, receive: Any, send: Any) -> str:
    body = (await body_of(receive)).decode()
    note("thread", [await anyio.to_thread.run_sync(threading.get_ident), await asyncio.to_thread(str, 1)])
    return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run_sync(str, body))


@check
async def from_another_thread(scope: Any, receive: Any, send: Any) -> None:
    """Messages sent by a coroutine that another thread starts."""
    body = await body_of(receive)
    running = asyncio.get_running_loop()

    def work() -> None:
        for message in (START, {"type": "http.response.body", "body": body}):
            asyncio.run_coroutine_threadsafe(send(dict(message)), running).result(5)

    await asyncio.to_thread(work)


@check
async def after_return(scope: Any, receive: Any, send: Any) -> str:
    """A background task outlives its request."""

    async def later() -> None:
        await asyncio.sleep(0)
        note("later", (await receive())["type"])

    kept.append(asyncio.create_task(later()))
    return (await body_of(receive)).decode()


@check
async def exception_group(scope: Any, receive: Any, send: Any) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(fail)
        await anyio.sleep(5)


async def fail() -> None:
    raise ValueError("in a group")
