"""Whatever an application leaves running, a stop with default options takes a second or two, in the right order."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from .conftest import Service, wait_count
from .test_stop import stop

# What a stop may take with nobody connected: --background-timeout and a second.
BOUND = 3.0

STRAY = """
    import asyncio, os

    kept = set()

    async def forever():
        try:
            while True:
                await asyncio.sleep(0.2)
        finally:
            print("stray cancelled", flush=True)

    async def unresolved():
        await asyncio.get_running_loop().create_future()

    async def short():
        await asyncio.sleep(1.0)
        print("short done", flush=True)

    def start(path):
        if path[1:] in ("forever", "unresolved", "short"):
            kept.add(asyncio.ensure_future(globals()[path[1:]]()))

    class App:
        def __rsgi_init__(self, loop): ...

        def __rsgi_del__(self, loop):
            print("shutdown", flush=True)

        async def __rsgi__(self, scope, protocol):
            start(scope.path)
            protocol.response_str(200, [], "ok")

    rsgi = App()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("shutdown", flush=True)
            return await send({"type": "lifespan.shutdown.complete"})
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            start(scope["path"])
            return await send({"type": "websocket.close"})
        start(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
"""
UPGRADE = (
    b"GET /forever HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop(request) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.mark.parametrize("interface", ["asgi", "asginl", "rsgi"])
@pytest.mark.parametrize("task", ["forever", "unresolved"])
def test_a_task_that_never_ends(serve, event_loop, interface, task):
    """It took the whole drain: 30 s, where Docker kills after 10."""
    target = "main:rsgi" if interface == "rsgi" else "main:app"
    service = serve(STRAY, "--loop", event_loop, interface=interface, target=target)
    assert service.get(f"/{task}").status == 200
    stop(service, BOUND)
    if interface != "asginl":
        assert "shutdown" in service.log(), service.log()
    if task == "forever":
        lines = service.lines()
        assert "stray cancelled" in lines, service.log()
        assert interface == "asginl" or lines.index("shutdown") < lines.index("stray cancelled"), service.log()


def test_a_task_of_a_websocket(serve, event_loop):
    # The client does not answer the close: the server's patience is to end before that of the test.
    service = serve(STRAY, "--loop", event_loop, "--ws-close-timeout", "1", interface="asgi")
    with service.connect() as wire:
        wire.send(UPGRADE)
        assert wire.head().status == 101
        wire.rest()
    stop(service, BOUND)
    assert "stray cancelled" in service.log(), service.log()


def test_a_task_that_ends_gets_its_time(serve, event_loop):
    service = serve(STRAY, "--loop", event_loop, interface="asgi")
    assert service.get("/forever").status == 200
    assert service.get("/short").status == 200
    stop(service, BOUND)
    lines = service.lines()
    assert lines.index("short done") < lines.index("shutdown"), service.log()


@pytest.mark.parametrize(
    ("options", "within"),
    [
        (("--background-timeout", "0"), 1.0),
        (("--drain-timeout", "1", "--background-timeout", "20"), 2.0),
        (("--background-timeout", "1"), 2.0),
    ],
)
def test_the_time_of_background_tasks(serve, options, within):
    service = serve(STRAY, *options, interface="asgi")
    assert service.get("/forever").status == 200
    stop(service, within)
    assert "shutdown" in service.log(), service.log()


@pytest.mark.parametrize("reload", [(), ("--reload",)])
def test_a_replaced_worker(serve, event_loop, reload):
    """SIGHUP, and a change of a file, had the old worker live on for the whole drain."""
    service = serve(STRAY, "--loop", event_loop, "--drain-timeout", "20", *reload, interface="asgi")
    if reload:
        service.wait_line("Watching for changes")
    assert service.get("/forever").status == 200
    if reload:
        service.write(STRAY + "\n    # changed\n")
    else:
        service.signal(signal.SIGHUP)
    service.wait_line("Stopped old worker-1", timeout=BOUND + 3)
    lines = service.lines()
    assert lines.index("shutdown") < lines.index("stray cancelled"), service.log()


RECYCLED = (
    STRAY
    + """
    if __name__ == "__main__":
        import dataclasses, sys
        from granian import Granian

        server = Granian("main:app", interface="asgi", port=0, drain_timeout=20)
        # Shorter than the options allow.
        server.config = dataclasses.replace(server.config, **eval(sys.argv[1]))
        server.serve()
"""
)


@pytest.mark.parametrize("limit", ["dict(max_requests=1)", "dict(workers_lifetime=1)"])
def test_a_recycled_worker(program, limit):
    service = program(RECYCLED, limit)
    service.wait_ready()
    assert service.get("/forever").status == 200
    # With a lifetime of a second another one may leave before this one.
    service.wait_line("stray cancelled", timeout=BOUND + 4)
    service.wait_line("Stopped old worker-1")


GROUP = """
    import anyio
    from contextlib import asynccontextmanager
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    @asynccontextmanager
    async def lifespan(app):
        async with anyio.create_task_group() as app.state.group:
            yield
            print("CLEAN-UP", flush=True)
            app.state.group.cancel_scope.cancel()

    async def start(request):
        request.app.state.group.start_soon(anyio.sleep_forever)
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", start)], lifespan=lifespan)
"""


def check_clean(service: Service, within: float = BOUND) -> None:
    """It stops in time, without a word of trouble."""
    stop(service, within)
    assert "[ERROR]" not in service.log(), service.log()
    assert "[WARNING]" not in service.log(), service.log()


@pytest.mark.parametrize("options", [(), ("--drain-timeout", "1")])
def test_a_task_group_that_the_lifespan_holds_open(serve, event_loop, options):
    """Its child was cancelled from outside, which the group takes for a failure: the code behind `yield` never ran."""
    service = serve(GROUP, "--loop", event_loop, *options, interface="asgi")
    assert service.get("/").status == 200
    check_clean(service)
    assert "CLEAN-UP" in service.log(), service.log()


# Libraries as their users meet them: the application, and a visit by the library's own client.

SSE = """
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def events(request):
        async def stream():
            yield {"data": "one"}
            yield {"data": "two"}
        return EventSourceResponse(stream())

    app = Starlette(routes=[Route("/", events)])
"""
SSE_CLIENT = """
    import sys, httpx
    with httpx.stream("GET", sys.argv[1]) as response:
        print(sum(line.startswith("data") for line in response.iter_lines()))
"""
SOCKETIO = """
    import socketio

    server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @server.event
    async def echo(sid, data):
        await server.emit("back", data, to=sid)

    app = socketio.ASGIApp(server)
"""
SOCKETIO_CLIENT = """
    import sys, socketio
    with socketio.SimpleClient() as client:
        client.connect(sys.argv[1])
        client.emit("echo", "hello")
        print(client.receive(timeout=10)[1])
"""
NICEGUI = """
    from fastapi import FastAPI
    from nicegui import ui

    app = FastAPI()

    @ui.page("/")
    def page():
        ui.label("hello")
        ui.timer(0.1, lambda: None)

    ui.run_with(app, storage_secret="x")
"""
NICEGUI_CLIENT = """
    import re, sys, httpx, socketio
    page = httpx.get(sys.argv[1])
    assert page.status_code == 200 and "hello" in page.text, page.text
    (name,) = set(re.findall(r"client_id['\\"]+: ?['\\"]+([-0-9a-f]+)", page.text))
    client = socketio.Client()
    client.connect(
        sys.argv[1] + f"?client_id={name}&implicit_handshake=true&tab_id=1&document_id=1",
        socketio_path="/_nicegui_ws/socket.io", transports=["websocket"],
    )
    client.disconnect()
    print("hello")
"""
MCP = """
    from mcp.server import MCPServer

    server = MCPServer("probe")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    app = server.streamable_http_app()
"""
# The session is left, not ended.
MCP_CLIENT = """
    import asyncio, os, sys
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def main():
        async with streamable_http_client(sys.argv[1] + "mcp", terminate_on_close=False) as (reader, writer, *_):
            async with ClientSession(reader, writer) as session:
                await session.initialize()
                result = await session.call_tool("add", {"a": 1, "b": 2})
                print(result.content[0].text, flush=True)

    asyncio.run(main())
"""
LIBRARIES = {
    "sse_starlette": (SSE, SSE_CLIENT, "2"),
    "socketio": (SOCKETIO, SOCKETIO_CLIENT, "hello"),
    "nicegui": (NICEGUI, NICEGUI_CLIENT, "hello"),
    "mcp": (MCP, MCP_CLIENT, "3"),
}


def visit(service: Service, client: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(client), f"{service.url}/"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, f"{ended.stderr}\n{service.log()}"
    return ended.stdout.strip()


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_that_leave_tasks_behind(serve: Callable[..., Service], event_loop, library):
    pytest.importorskip(library)
    source, client, answer = LIBRARIES[library]
    service = serve(source, "--loop", event_loop, interface="asgi")
    assert visit(service, client) == answer
    check_clean(service)


# Some take seconds to import, which they do twice.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_behind_a_worker_that_is_replaced(serve: Callable[..., Service], library):
    pytest.importorskip(library)
    source, client, answer = LIBRARIES[library]
    service = serve(source, interface="asgi")
    assert visit(service, client) == answer
    service.signal(signal.SIGHUP)
    service.wait_line("Stopping old worker-1", timeout=20)
    service.wait_line("Stopped old worker-1", timeout=BOUND + 2)
    wait_count(service, "Started worker-1", 2)
    assert visit(service, client) == answer
    check_clean(service)
