"""Shared by the probe applications: notes to the test, gates, scripted steps."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import threading
import time
import types
from collections.abc import Generator
from typing import Any
from urllib.parse import unquote


def note(name: str, value: Any = None) -> None:
    """Tells the test something, through the server's log."""
    # In one write, so that it does not mingle with what another process writes.
    os.write(1, f"\n@{name} {json.dumps(value)}\n".encode())


class Gates:
    """Named events that the test opens with a request to `/open/NAME`."""

    def __init__(self, kind: type[asyncio.Event] | type[threading.Event]) -> None:
        self._kind = kind
        self._events: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._events:
            self._events[name] = self._kind()
        return self._events[name]


class Stepped:
    """An awaitable that counts the passes of the loop which it gives way to others."""

    def __init__(self, inner: Any) -> None:
        self.passes = 0
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._inner.__await__()
        while True:
            try:
                waits_for = next(steps)
            except StopIteration as end:
                return end.value
            self.passes += waits_for is None
            yield waits_for


async def step_until_a_pass(awaitable: Any) -> None:
    """Goes on with `awaitable` until it first gives way to others, and leaves it there."""
    steps = awaitable.__await__()
    while (waits_for := next(steps)) is not None:
        await waits_for


async def work_until(path: str) -> None:
    """A call's own work, which is no wait for a peer: it ends when the test makes a file."""
    note("working", os.path.basename(path))
    while not os.path.exists(path):
        await asyncio.sleep(0.005)


def work_until_sync(path: str) -> None:
    """`work_until` of a thread."""
    note("working", os.path.basename(path))
    while not os.path.exists(path):
        time.sleep(0.005)


def steps_of(header: str | bytes) -> list[str]:
    """The steps in an `x-script` header: Python statements, run one after the other.

    A step that raises is noted and the next one runs; one that starts with `!` ends the script
    with its exception.
    """
    text = header.decode() if isinstance(header, bytes) else header
    steps: list[str] = json.loads(unquote(text))
    return steps


async def perform(steps: list[str], names: dict[str, Any]) -> None:
    """Runs the steps in a coroutine and notes their outcomes as `script`."""
    outcomes: list[str] = []
    try:
        for step in steps:
            try:
                result = eval(_compiled(step), names)
                if inspect.iscoroutine(result):
                    await result
                outcomes.append("ok")
            except Exception as error:
                outcomes.append(f"{type(error).__name__}: {error}")
                if step.startswith("!"):
                    raise
    finally:
        note("script", outcomes)


def perform_sync(steps: list[str], names: dict[str, Any]) -> None:
    """`perform` without `await`."""
    outcomes: list[str] = []
    try:
        for step in steps:
            try:
                eval(_compiled(step), names)
                outcomes.append("ok")
            except Exception as error:
                outcomes.append(f"{type(error).__name__}: {error}")
                if step.startswith("!"):
                    raise
    finally:
        note("script", outcomes)


def _compiled(step: str) -> types.CodeType:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: types.CodeType = compile(step.removeprefix("!"), "<step>", "exec", flags=flags)
    return code
