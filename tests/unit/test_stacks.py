"""`granian.worker.stacks`: the stack of a task through all that it awaits, and of threads."""

from __future__ import annotations

import asyncio
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from granian.worker.stacks import describe_task, stack_of_task, stack_of_thread, thread_behind, thread_name


def names(text: str) -> list[str]:
    return re.findall(r", in (\w+)", text)


class Waiting:
    def __await__(self):
        yield from asyncio.get_running_loop().create_future()


async def inner():
    await Waiting()


async def generator():
    await inner()
    yield


async def through_generator():
    async for _ in generator():
        pass


async def through_task():
    await asyncio.create_task(inner())


async def through_gather():
    await asyncio.gather(asyncio.sleep(0), inner())


async def through_wait_for():
    await asyncio.wait_for(inner(), 60)


async def through_awaitable():
    await Wrapper()


class Wrapper:
    def __await__(self):
        return inner().__await__()


async def through_group():
    lock = asyncio.Lock()
    await lock.acquire()
    async with lock:
        pass


CASES = {
    inner: ["inner", "__await__"],
    through_generator: ["through_generator", "generator", "inner", "__await__"],
    through_task: ["through_task", "inner", "__await__"],
    through_gather: ["through_gather", "inner", "__await__"],
    through_awaitable: ["through_awaitable", "inner", "__await__"],
}


async def stack_when_it_waits(function, look):
    task = asyncio.ensure_future(function())
    for _ in range(5):
        await asyncio.sleep(0)
    try:
        return look(task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("function", CASES)
def test_the_stack_goes_through_what_is_awaited(function):
    stack = asyncio.run(stack_when_it_waits(function, lambda task: (stack_of_task(task).lines(), task)))[0]
    assert names(stack) == CASES[function]


def test_wait_for_is_gone_through():
    stack = asyncio.run(stack_when_it_waits(through_wait_for, lambda task: stack_of_task(task).lines()))
    assert names(stack)[0] == "through_wait_for"
    assert names(stack)[-2:] == ["inner", "__await__"]


def test_a_lock_is_named():
    stack = asyncio.run(stack_when_it_waits(through_group, lambda task: (stack_of_task(task), task)[0]))
    assert stack.wait() == "a lock"
    assert not stack.is_running


def test_a_task_that_runs_is_told_apart():
    async def main():
        return stack_of_task(asyncio.current_task())

    assert asyncio.run(main()).is_running


def test_a_description_has_no_values():
    async def secretive(secret):
        await inner()

    text = asyncio.run(stack_when_it_waits(lambda: secretive("hunter2"), describe_task))
    assert re.match(r"Task Task-\d+ \(.*secretive\)\n", text)
    assert "hunter2" not in text


def test_the_thread_behind_a_future_is_found():
    started, release = threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait(10)

    async def main():
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "pool") as pool:
            task = asyncio.ensure_future(wait(loop.run_in_executor(pool, work)))
            await asyncio.to_thread(started.wait)
            # CPython 3.14 does not go through the loop for what a thread has done at once, and the task has not begun.
            await asyncio.sleep(0)
            number = thread_behind(stack_of_task(task).future)
            try:
                assert number is not None
                assert thread_name(number) == "pool_0"
                stack = stack_of_thread(number)
                assert "work" in names(stack.lines())
                assert stack.wait() == "a lock, an event or a condition"
            finally:
                release.set()
                await task
            assert thread_behind(loop.create_future()) is None

    async def wait(future):
        await future

    asyncio.run(main())


def test_the_loop_is_left_out():
    def blocking():
        return stack_of_thread(threading.get_ident(), skips_loop=True).lines()

    async def main():
        return blocking()

    assert names(asyncio.run(main()))[:2] == ["main", "blocking"]


def test_threads_that_are_not_there():
    assert stack_of_thread(None).lines() == ""
    assert stack_of_thread(1).lines() == ""
    assert thread_name(1) == "1"
