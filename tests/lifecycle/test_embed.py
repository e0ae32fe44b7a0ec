"""The server inside a program's own event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import pytest

from granian.errors import ConfigurationError, FatalError
from granian.server.embed import Server


class App:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.started = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                self.events.append(message["type"])
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["path"] == "/slow":
            await asyncio.sleep(0.3)
        if scope["path"] == "/endless":
            await asyncio.sleep(60)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


async def get(url: str | None, path: str = "/") -> bytes:
    assert url is not None
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_serve_and_stop():
    async def main() -> None:
        app = App()
        async with Server(app, port=0, interface="asgi") as server:
            assert (await get(server.url)).endswith(b"hello")
            slow = asyncio.create_task(get(server.url, "/slow"))
            await asyncio.sleep(0.1)
        assert (await slow).endswith(b"hello")
        assert app.events == ["lifespan.startup", "lifespan.shutdown"]

    asyncio.run(main())


def test_stop_from_another_thread():
    async def main() -> None:
        async with Server(App(), port=0) as server:
            threading.Thread(target=server.stop).start()
            assert server._task is not None
            await asyncio.wait_for(asyncio.shield(server._task), 5)

    asyncio.run(main())


def test_reload():
    async def main() -> None:
        app = App()
        async with Server(app, port=0, interface="asgi") as server:
            server.reload()
            while app.events[-1:] != ["lifespan.shutdown"]:
                assert (await get(server.url)).endswith(b"hello")
            assert (await get(server.url)).endswith(b"hello")
        assert app.events == ["lifespan.startup", "lifespan.startup", "lifespan.shutdown", "lifespan.shutdown"]

    asyncio.run(main())


def test_cancelled_task_ends_the_server():
    """The port was served on (contract 9.1)."""

    async def main() -> None:
        app = App()
        server = Server(app, port=0, interface="asgi")
        task = asyncio.create_task(server.serve())
        while server.url is None or not app.events:
            await asyncio.sleep(0.01)
        url = server.url
        endless = asyncio.create_task(get(url, "/endless"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
        with pytest.raises(OSError):
            await get(url)
        endless.cancel()
        assert app.events[-1] == "lifespan.shutdown"

    asyncio.run(main())


def test_failing_lifespan():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(FatalError, match="ASGI lifespan startup"):
        asyncio.run(Server(app, port=0, interface="asgi").serve())


def test_wsgi_is_refused():
    with pytest.raises(ConfigurationError):
        asyncio.run(Server(App(), port=0, interface="wsgi").serve())


def test_unknown_option_is_refused():
    with pytest.raises(TypeError):
        Server(App(), workers=2)


def test_many_times():
    """Nothing stays open."""

    async def once() -> None:
        async with Server(App(), port=0, interface="asgi", log_enabled=False) as server:
            assert (await get(server.url)).endswith(b"hello")

    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    asyncio.run(once())
    before = descriptors()
    for _ in range(200):
        asyncio.run(once())
    assert descriptors() == before


def test_cancelled_amid_a_reload():
    """Neither generation serves on."""

    async def main() -> None:
        app = App()
        server = Server(app, port=0, interface="asgi")
        task = asyncio.create_task(server.serve())
        while server.url is None or not app.events:
            await asyncio.sleep(0.01)
        url = server.url
        endless = asyncio.create_task(get(url, "/endless"))
        await asyncio.sleep(0.05)
        server.reload()
        while app.events.count("lifespan.startup") < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 3)
        with pytest.raises(OSError):
            await get(url)
        endless.cancel()
        assert app.events.count("lifespan.shutdown") == 2

    asyncio.run(main())


def test_stop_amid_a_reload():
    async def main() -> None:
        app = App()
        server = Server(app, port=0, interface="asgi", drain_timeout=0.5)
        task = asyncio.create_task(server.serve())
        while server.url is None or not app.events:
            await asyncio.sleep(0.01)
        endless = asyncio.create_task(get(server.url, "/endless"))
        await asyncio.sleep(0.05)
        server.reload()
        while app.events.count("lifespan.startup") < 2:
            await asyncio.sleep(0.01)
        server.stop()
        await asyncio.wait_for(task, 3)
        endless.cancel()
        assert app.events.count("lifespan.shutdown") == 2
        server.stop()

    asyncio.run(main())


def test_failing_reload_leaves_the_old_one():
    class Failing:
        starts = 0

        async def __rsgi__(self, scope, proto):
            proto.response_str(200, [], "hello")

        def __rsgi_init__(self, loop):
            self.starts += 1
            if self.starts > 1:
                raise ValueError("not again")

    async def main() -> None:
        app = Failing()
        async with Server(app, port=0, interface="rsgi") as server:
            server.reload()
            while app.starts < 2:
                await asyncio.sleep(0.01)
            assert (await get(server.url)).endswith(b"hello")

    asyncio.run(main())


def test_entering_that_is_cancelled_leaves_nothing():
    class Slow(App):
        async def __call__(self, scope, receive, send):
            self.started += 1
            await asyncio.sleep(60)

    async def main() -> None:
        app = Slow()
        server = Server(app, port=0, interface="asgi")
        entering = asyncio.create_task(server.__aenter__())
        while not app.started:
            await asyncio.sleep(0.01)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(entering, 3)
        assert server.url is None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_stop_before_the_start():
    async def main() -> None:
        server = Server(App(), port=0, interface="asgi")
        server.stop()
        await asyncio.wait_for(server.serve(), 3)

    asyncio.run(main())


def test_shutdown_hooks_run_whatever_the_end():
    async def main() -> None:
        seen = []
        server = Server(App(), port=0, interface="asgi")
        server.on_shutdown(lambda: seen.append("down"))
        task = asyncio.create_task(server.serve())
        while server.url is None:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["down"]

    asyncio.run(main())


def test_positional_options():
    server = Server(App(), "127.0.0.1", 0, None, "asgi", 1, 30, 1, None, "asyncio", "1", False, 256)
    assert (server.config.http, server.config.websockets, server.config.backlog) == ("1", False, 256)
    assert server.bind_addr == "127.0.0.1"
    for arguments, options in ((("127.0.0.1",), {"address": "::1"}), ((None,) * 40, {}), ((), {"max_requests": 1})):
        with pytest.raises(TypeError):
            Server(App(), *arguments, **options)
