"""The server inside a program's own event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
import websockets
from e2e.server import bare

from granian.errors import ConfigurationError, FatalError
from granian.http import HTTP1Settings
from granian.server.embed import POSITIONAL, Server


class App:
    def __init__(self) -> None:
        self.events: list[str] = []
        self._news = asyncio.Condition()
        # The startup waits for it.
        self.startup = asyncio.Event()
        self.startup.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await self._note(message["type"])
                if message["type"] == "lifespan.startup":
                    await self.startup.wait()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["path"] == "/slow":
            await asyncio.sleep(0.3)
        if scope["path"] == "/endless":
            await asyncio.sleep(60)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/begun":
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.body", "body": b"hello"})

    async def seen(self, event: str, count: int = 1) -> None:
        """Waits until the lifespan has come so far."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: self.events.count(event) >= count), 10)

    async def _note(self, event: str) -> None:
        async with self._news:
            self.events.append(event)
            self._news.notify_all()


async def get(url: str | None, path: str = "/") -> bytes:
    assert url is not None
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("placement", [{}, {"runtime_mode": "mt", "runtime_threads": 2}])
def test_serve_and_stop(placement):
    async def main() -> None:
        app = App()
        async with Server(app, port=0, interface="asgi", **placement) as server:
            assert (await get(server.url)).endswith(b"hello")
            slow = asyncio.create_task(get(server.url, "/slow"))
            await asyncio.sleep(0.1)
        assert (await slow).endswith(b"hello")
        assert app.events == ["lifespan.startup", "lifespan.shutdown"]

    asyncio.run(main())


def test_stop_from_another_thread():
    async def main() -> None:
        async with Server(App(), port=0) as server:
            threading.Thread(target=server.stop, daemon=True).start()
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


def test_wsgi_is_refused(capsys):
    with pytest.raises(ConfigurationError):
        asyncio.run(Server(App(), port=0, interface="wsgi").serve())
    assert "[ERROR] WSGI is not available in an embedded server" in capsys.readouterr().out


def test_unknown_option_is_refused():
    with pytest.raises(TypeError, match="nonsense"):
        Server(App(), nonsense=2)


REFUSED = (
    "workers loop respawn_failed_workers respawn_interval rss_sample_interval rss_samples "
    "workers_lifetime workers_max_rss workers_kill_timeout working_dir env_files shutdown_delay reload "
    "reload_paths reload_tick process_name pid_file max_requests max_requests_jitter workers_lifetime_jitter "
    "hang_timeout preload"
)


@pytest.mark.parametrize("option", REFUSED.split())
def test_options_that_nobody_reads_are_refused(option):
    with pytest.raises(ConfigurationError, match=rf"^{option}: "):
        Server(App(), **{option: None})


def test_metrics_and_health_of_an_embedded_server(capfd):
    async def look(url: str, path: str) -> str:
        return (await get(url, path)).decode()

    async def main() -> None:
        app = App()
        options = {"metrics_enabled": True, "metrics_port": 0, "health_path": "/up"}
        async with Server(app, port=0, interface="asgi", **options) as server:
            status = re.search(r"Status page at: (http://\S+)/", capfd.readouterr().out)
            assert status is not None
            assert (await get(server.url)).endswith(b"hello")
            assert (await get(server.url, "/up")).endswith(b"ok\n")
            assert '\ngranian_requests_handled{worker="1"} 2\n' in await look(status[1], "/metrics")
            server.reload()
            await app.seen("lifespan.shutdown")
            assert (await get(server.url)).endswith(b"hello")
            text = await look(status[1], "/metrics")
            assert '\ngranian_requests_handled{worker="1"} 3\n' in text
            assert '\ngranian_worker_starts_total{cause="reload"} 1\n' in text
            assert (await look(status[1], "/readyz")).startswith("HTTP/1.1 200 OK")
        with pytest.raises(OSError):
            await get(status[1], "/readyz")

    asyncio.run(main())


def test_positional_arguments():
    """In the order of contract 9.1."""
    arguments = ("::1", 1, None, "asgi", 1, 60, 2, 3, "asyncio", "1", False, 256, 7)
    config = Server(App(), *arguments).config
    assert (config.address, config.port, config.interface, config.runtime_threads) == ("::1", 1, "asgi", 2)
    assert (config.runtime_blocking_threads, config.http, config.websockets) == (3, "1", False)
    assert (config.backlog, config.backpressure) == (256, 7)
    with pytest.raises(TypeError, match="given twice: address"):
        Server(App(), "::1", address="::1")
    with pytest.raises(TypeError, match="positional"):
        Server(App(), *[None] * 34)
    assert POSITIONAL[-5:] == (
        "factory",
        "static_path_route",
        "static_path_mount",
        "static_path_dir_to_file",
        "static_path_expires",
    )


def test_threads_are_refused():
    with pytest.raises(ConfigurationError, match=r"^blocking_threads: "):
        Server(App(), blocking_threads=2)


def test_former_attributes():
    app = App()
    server = Server(app, port=0, interface="asgi")
    assert (server.target, server.bind_addr, server.bind_port, server.interface) == (app, "127.0.0.1", 0, "asgi")
    assert (server.backlog, server.backpressure, server.http1_settings) == (128, 128, HTTP1Settings())
    with pytest.raises(AttributeError):
        _ = server.nonsense


def test_stop_before_the_start_and_after_the_end():
    async def main() -> None:
        app = App()
        server = Server(app, port=0, interface="asgi")
        server.stop()
        await asyncio.wait_for(server.serve(), 5)
        assert app.events.count("lifespan.startup") == app.events.count("lifespan.shutdown")
        app.events.clear()
        server.stop()
        server.reload()
        async with server:
            assert (await get(server.url)).endswith(b"hello")
        assert app.events == ["lifespan.startup", "lifespan.shutdown"]

    asyncio.run(main())


def test_reload_before_the_start():
    async def main() -> None:
        app = App()
        server = Server(app, port=0, interface="asgi")
        server.reload()
        async with server:
            await app.seen("lifespan.shutdown")
        assert app.events.count("lifespan.startup") == 2

    asyncio.run(main())


async def occupied(server: Server) -> asyncio.StreamWriter:
    """A connection whose request does not end."""
    assert server.url is not None
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /begun HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"begun")
    return writer


def test_websockets_are_told_whether_to_come_again():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async def code_after(server: Server, action: Callable[[], None]) -> int | None:
        assert server.url is not None
        async with websockets.connect(server.url.replace("http", "ws", 1), proxy=None) as peer:
            action()
            await asyncio.wait_for(peer.wait_closed(), 10)
            return peer.close_code

    async def main() -> None:
        async with Server(app, port=0, interface="asginl") as server:
            assert await code_after(server, server.reload) == 1012
            assert await code_after(server, server.stop) == 1001

    asyncio.run(main())


def test_cancelled_while_a_reload_drains():
    """The new worker served on."""

    async def main() -> None:
        app = App()
        server = Server(app, port=0, interface="asgi")
        async with server:
            url = server.url
            writer = await occupied(server)
            server.reload()
            await app.seen("lifespan.startup", 2)
            await asyncio.sleep(0)
            assert server._task is not None
            server._task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(server._task, 5)
            with pytest.raises(OSError):
                await get(url)
            assert app.events.count("lifespan.shutdown") == 2
            writer.close()
            server._task = asyncio.create_task(asyncio.sleep(0))

    asyncio.run(main())


def test_stop_while_a_reload_drains():
    """It was heard after the drain, and then came another drain."""

    async def main() -> None:
        app = App()
        server = Server(app, port=0, interface="asgi", drain_timeout=60)
        async with server:
            writer = await occupied(server)
            server.reload()
            await app.seen("lifespan.startup", 2)
            server.stop()
            # The worker of today ends although the one before still drains.
            await app.seen("lifespan.shutdown")
            assert not server._task.done()
            writer.close()
        assert app.events.count("lifespan.shutdown") == 2

    asyncio.run(main())


def test_stop_while_a_reload_starts():
    async def main() -> None:
        app = App()
        async with Server(app, port=0, interface="asgi") as server:
            app.startup.clear()
            server.reload()
            await app.seen("lifespan.startup", 2)
        assert app.events == ["lifespan.startup", "lifespan.startup", "lifespan.shutdown"]

    asyncio.run(main())


def test_cancelled_entry_leaves_nothing():
    async def main() -> None:
        app = App()
        app.startup.clear()
        server = Server(app, port=0, interface="asgi")
        entry = asyncio.create_task(server.__aenter__())
        await app.seen("lifespan.startup")
        entry.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(entry, 5)
        assert server.url is None
        assert server._task.done()

    asyncio.run(main())


class Sick:
    """An RSGI application that starts only once."""

    def __init__(self) -> None:
        self.count = 0

    def __rsgi_init__(self, loop):
        self.count += 1
        if self.count > 1:
            raise ValueError("the database is away")

    async def __rsgi__(self, scope, protocol):
        protocol.response_str(200, [], "hello")


@pytest.mark.parametrize("where", ["application", "hook"])
def test_a_failed_reload_leaves_the_old_worker(where, capsys):
    """It ended the server."""

    async def main() -> None:
        app: Any = Sick() if where == "application" else App()
        server = Server(app, port=0)
        failed = asyncio.Event()

        @server.on_reload
        def hook() -> None:
            asyncio.get_running_loop().call_soon(failed.set)
            if where == "hook":
                raise ValueError("the database is away")

        async with server:
            server.reload()
            await failed.wait()
            assert (await get(server.url)).endswith(b"hello")

    asyncio.run(main())
    log = capsys.readouterr().out
    assert "[ERROR] The reload has failed, the old worker serves on\nTraceback" in log
    assert "ValueError: the database is away" in log
    assert "HUP" not in log


def test_a_start_that_fails_late_ends_the_lifespan(monkeypatch):
    def refuse(*arguments: Any) -> None:
        raise ConfigurationError("ssl_cert", "no")

    monkeypatch.setattr("granian.worker.serving.Worker", refuse)
    app, ended = App(), []
    server = Server(app, port=0, interface="asgi")
    server.on_shutdown(lambda: ended.append(app.events[-1]))
    with pytest.raises(ConfigurationError, match="ssl_cert"):
        asyncio.run(server.serve())
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]
    assert ended == ["lifespan.shutdown"]


def test_shutdown_hooks_run_after_a_cancellation():
    async def main() -> None:
        app, ended = App(), []
        async with Server(app, port=0, interface="asgi") as server:
            server.on_shutdown(lambda: ended.append(list(app.events)))
            server._task.cancel()
            await asyncio.wait([server._task])
            server._task = asyncio.create_task(asyncio.sleep(0))
        assert ended == [["lifespan.startup", "lifespan.shutdown"]]

    asyncio.run(main())


def test_log(capsys):
    async def main() -> None:
        async with Server(App(), port=0, interface="asgi"):
            pass

    asyncio.run(main())
    lines = bare(capsys.readouterr().out).splitlines()
    assert lines[0] == "[WARNING] Embedded server is experimental!"
    assert lines[-2:] == ["[INFO] Shutting down granian", "[INFO] Stopping worker-1"]


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


def test_tasks_that_requests_have_started_are_the_programs():
    """They live on the program's loop: a stop neither waits for them nor cancels them."""
    kept: list[asyncio.Task[Any]] = []

    async def app(scope, receive, send):
        kept.append(asyncio.create_task(asyncio.sleep(60)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def main() -> None:
        async with Server(app, port=0, interface="asginl") as server:
            assert (await get(server.url)).endswith(b"hello")
            begun = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun < 2
        assert not kept[0].done()
        kept[0].cancel()

    asyncio.run(main())
