"""An application that forks: the child inherits every socket that is open at the time."""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import signal
from collections.abc import Callable
from typing import Any

from support import note

children: list[tuple[int, int]] = []
gate = asyncio.Event()


CLONE = {"x86_64": 56, "aarch64": 220}


def clone() -> int:
    """A fork of which no handler of `pthread_atfork` is told, as of vfork and posix_spawn."""
    return ctypes.PyDLL(None).syscall(CLONE[platform.machine()], int(signal.SIGCHLD), 0, 0, 0, 0)


def fork(start: Callable[[], int]) -> str:
    """Starts a child that does nothing until its end of the pipe is closed."""
    read, write = os.pipe()
    pid = start()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    children.append((pid, write))
    return str(pid)


def reap() -> str:
    for pid, write in children:
        os.close(write)
        os.waitpid(pid, 0)
    children.clear()
    return "reaped"


async def watch(name: str, receive: Any) -> str:
    """Notes if the client leaves before the gate opens."""
    await receive()
    note(f"{name}.started")
    opening = asyncio.create_task(gate.wait())
    leaving = asyncio.create_task(receive())
    await asyncio.wait([opening, leaving], return_when=asyncio.FIRST_COMPLETED)
    left = leaving.done()
    opening.cancel()
    leaving.cancel()
    return "left" if left else "stayed"


async def app(scope: Any, receive: Any, send: Any) -> None:
    name = scope["path"][1:]
    if name == "fork":
        body = fork(os.fork)
    elif name == "clone":
        body = fork(clone)
    elif name == "reap":
        body = reap()
    elif name == "descriptors":
        body = str(len(os.listdir("/proc/self/fd")))
    elif name == "open":
        gate.set()
        body = "open"
    else:
        body = await watch(name, receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
