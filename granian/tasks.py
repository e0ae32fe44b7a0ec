"""Waiting for and cancelling what still runs on an event loop."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterable
from typing import Any


def when_done(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]]) -> asyncio.Future[None]:
    """A future that is done when all of `tasks` are, and is no task itself."""
    future: asyncio.Future[None] = loop.create_future()
    left = len(tasks)

    def count(task: asyncio.Task[Any]) -> None:
        nonlocal left
        left -= 1
        if not left:
            resolve(future)

    for task in tasks:
        task.add_done_callback(count)
    return future


def resolve(future: asyncio.Future[None]) -> None:
    """Sets the future unless it is done."""
    if not future.done():
        future.set_result(None)


async def taken(listeners: Iterable[socket.socket]) -> None:
    """Waits until no connection is in the queues: those that the loop still accepts, before somebody else's."""
    poll = select.poll()
    for listener in listeners:
        if listener.fileno() >= 0:
            poll.register(listener.fileno(), select.POLLIN)
    for _ in range(TURNS):
        if not poll.poll(0):
            return
        await asyncio.sleep(0)


async def cancel_all(loop: asyncio.AbstractEventLoop, kept: set[asyncio.Task[Any]], timeout: float) -> None:
    """Cancels every task but those `kept`, and gives them `timeout` seconds to end."""
    tasks = others(loop, kept)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=timeout)


def others(loop: asyncio.AbstractEventLoop, kept: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """The tasks of the loop that are not done, without those `kept` and the running one."""
    found = asyncio.all_tasks(loop) - kept
    found.discard(asyncio.current_task(loop))
    return found


# Turns of the loop; each accepts dozens of connections.
TURNS = 64
