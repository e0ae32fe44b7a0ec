"""`granian.tasks`: waiting for tasks and cancelling them."""

import asyncio

from granian.tasks import cancel_all, others, resolve, when_done


def test_when_done_waits_for_all_of_them():
    async def main():
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        tasks = {asyncio.ensure_future(wait_for(first)), asyncio.ensure_future(wait_for(second))}
        done = when_done(loop, tasks)
        first.set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not done.done()
        second.set_exception(ValueError("counts as done"))
        await done
        assert all(task.done() for task in tasks)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_for(future):
        await future

    asyncio.run(main())


def test_resolve_twice():
    async def main():
        future = asyncio.get_running_loop().create_future()
        resolve(future)
        resolve(future)
        await future
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        resolve(cancelled)
        assert cancelled.cancelled()

    asyncio.run(main())


def test_cancel_all_leaves_the_kept_and_the_running():
    async def main():
        loop = asyncio.get_running_loop()
        kept, ended = asyncio.ensure_future(asyncio.sleep(60)), asyncio.ensure_future(asyncio.sleep(60))
        assert others(loop, {kept}) == {ended}
        await cancel_all(loop, {kept}, timeout=5)
        assert ended.cancelled()
        assert not kept.done()
        assert others(loop, {kept}) == set()
        kept.cancel()

    asyncio.run(main())


def test_cancel_all_does_not_wait_for_the_stubborn():
    async def stubborn(release):
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    async def main():
        release = asyncio.Event()
        task = asyncio.ensure_future(stubborn(release))
        await asyncio.sleep(0)
        await cancel_all(asyncio.get_running_loop(), set(), timeout=0.01)
        assert not task.done()
        release.set()
        await task

    asyncio.run(main())
