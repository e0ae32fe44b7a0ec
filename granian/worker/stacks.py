"""Stacks of what the application does for a request: of a task through all that it awaits, and of a thread.

All of it may be called from any thread, while the event loop is stuck. Only places in files are shown, no values: those
may be secrets.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any


@dataclass
class Stack:
    """Frames from the outermost to the innermost one."""

    frames: list[tuple[FrameType, int]] = field(default_factory=list)
    # A coroutine of it runs right now, on the thread of its event loop.
    is_running: bool = False
    # The future that it waits for in the end, if it is one.
    future: Any = None

    def lines(self) -> str:
        """As in a traceback."""
        return lines_of(self.frames)

    def wait(self) -> str | None:
        """What it waits for, where that is known."""
        if not self.frames:
            return None
        return WAITS.get(_place_of(self.frames[-1][0]))


def stack_of_task(task: asyncio.Task[Any]) -> Stack:
    """The stack of a task, through coroutines, generators and further tasks that it awaits."""
    stack = Stack()
    seen: set[int] = set()
    awaited: Any = task.get_coro()
    while awaited is not None and id(awaited) not in seen and len(stack.frames) < DEEPEST:
        seen.add(id(awaited))
        prefix = next((prefix for prefix in ("cr", "gi", "ag") if hasattr(awaited, f"{prefix}_frame")), None)
        if prefix is None:
            awaited = _behind(awaited, stack)
            continue
        frame = getattr(awaited, f"{prefix}_frame")
        if frame is not None:
            stack.frames.append((frame, frame.f_lineno))
        if getattr(awaited, f"{prefix}_running", False) and getattr(awaited, NEXT[prefix], None) is None:
            stack.is_running = True
            break
        awaited = getattr(awaited, NEXT[prefix], None)
    return stack


def describe_task(task: asyncio.Task[Any]) -> str:
    """The task's name, its coroutine's, and its stack. Its representation could have values in it."""
    coroutine = getattr(task.get_coro(), "__qualname__", type(task.get_coro()).__name__)
    return f"Task {task.get_name()} ({coroutine})\n{stack_of_task(task).lines()}".rstrip()


def stack_of_thread(number: int | None, skips_loop: bool = False) -> Stack:
    """The stack of the thread with this number; `skips_loop` leaves out what runs the event loop."""
    frame = sys._current_frames().get(number) if number is not None else None
    frames = list(_outwards(frame))[::-1]
    if skips_loop:
        last = max((at for at, (one, _) in enumerate(frames) if _place_of(one)[0] in LOOP_MODULES), default=-1)
        frames = frames[last + 1 :] or frames
    # What is outside of the function that the thread is for.
    first = next((at for at, (one, _) in enumerate(frames) if _place_of(one)[0] not in THREAD_MODULES), 0)
    return Stack(frames[first:][-DEEPEST:])


def thread_behind(future: Any) -> int | None:
    """The thread that computes the result of an asyncio future: of an executor, or of anyio's."""
    for number, innermost in sys._current_frames().items():
        for frame, _ in _outwards(innermost):
            code = frame.f_code
            if code.co_name != "run":
                continue
            if code.co_filename.endswith("concurrent/futures/thread.py"):
                item = frame.f_locals.get("self")
                if _leads_to(getattr(item, "future", None), future):
                    return number
            elif "anyio" in code.co_filename and frame.f_locals.get("future") is future:
                return number
    return None


def thread_name(number: int) -> str:
    """Its name, or else its number."""
    return next((thread.name for thread in threading.enumerate() if thread.ident == number), str(number))


def lines_of(frames: Iterable[tuple[FrameType, int]]) -> str:
    """As in a traceback."""
    return "".join(traceback.StackSummary.extract(iter(frames)).format()).rstrip()


def _behind(awaited: Any, stack: Stack) -> Any:
    """What an awaitable without a frame waits for: the task, coroutine or generator that it stands for."""
    stack.future = None
    if isinstance(awaited, asyncio.Task):
        stack.future = awaited
        return None if awaited.done() else awaited.get_coro()
    if asyncio.isfuture(awaited):
        stack.future = awaited
        # `gather` waits for the first of its children that is not done.
        children = getattr(awaited, "_children", None) or ()
        pending = next((child for child in children if not child.done()), None)
        return pending or (_tasks_of(stack.frames[-1][0]) if stack.frames else None)
    # Iterators of futures, wrappers of coroutines and steps of generators do not name what they are for.
    referents = gc.get_referents(awaited)
    is_next = (one for one in referents if asyncio.isfuture(one) or any(hasattr(one, f"{p}_frame") for p in NEXT))
    return next(is_next, None)


def _tasks_of(frame: FrameType) -> Any:
    """The first task that is not done of those that a function of asyncio or anyio waits for by a future of its own."""
    names = TASKS.get(_place_of(frame))
    if names is None:
        return None
    held: Any = frame.f_locals.get(names[0])
    for name in names[1:]:
        held = getattr(held, name, None)
    tasks = [held] if asyncio.isfuture(held) else list(held or ())
    return next((task for task in tasks if not task.done()), None)


def _place_of(frame: FrameType) -> tuple[str, str]:
    """The module of a function and its name."""
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _leads_to(source: Any, future: Any) -> bool:
    """Whether the result of the thread's future becomes that of the loop's."""
    for callback in list(getattr(source, "_done_callbacks", ())):
        for cell in getattr(callback, "__closure__", None) or ():
            try:
                if cell.cell_contents is future:
                    return True
            except ValueError:
                # The cell is empty.
                continue
    return False


def _outwards(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back


DEEPEST = 100
NEXT = {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}
# Functions, by module and name, and what they wait for.
WAITS = {
    ("asyncio.locks", "acquire"): "a lock",
    ("asyncio.locks", "wait"): "an event or a condition",
    ("asyncio.queues", "get"): "an item of a queue",
    ("asyncio.queues", "put"): "room in a queue",
    ("asyncio.tasks", "sleep"): "time to pass",
    ("threading", "acquire"): "a lock",
    ("threading", "wait"): "a lock, an event or a condition",
    ("threading", "join"): "a thread to end",
    ("queue", "get"): "an item of a queue",
}
# Functions, by module and name, that wait for tasks by a future of their own, and where they keep the tasks.
TASKS = {
    ("asyncio.tasks", "wait_for"): ("fut",),
    ("asyncio.tasks", "_wait"): ("fs",),
    ("asyncio.taskgroups", "__aexit__"): ("self", "_tasks"),
    ("asyncio.taskgroups", "_aexit"): ("self", "_tasks"),
    ("anyio._backends._asyncio", "__aexit__"): ("self", "_tasks"),
}
# What is outside of the application on an event loop's thread.
LOOP_MODULES = frozenset({"asyncio.base_events", "asyncio.events", "asyncio.runners", "granian.worker.life"})
THREAD_MODULES = frozenset({"threading", "concurrent.futures.thread"})
