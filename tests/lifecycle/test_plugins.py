"""Frameworks and plugins that start the server themselves, with their real packages: pages, a websocket, a reload.

emmett55 asks for granian 2, so it is installed without its dependencies: `pip install --no-deps emmett55 emmett-core`.
"""

from __future__ import annotations

import os
import signal
import sys

import pytest
from e2e.websocket import open_websocket

from .conftest import Program
from .test_reload import wait_text

LITESTAR = """
    from litestar import Litestar, WebSocket, get, websocket
    from litestar_granian import GranianPlugin

    @get("/")
    async def home() -> str:
        return "first"

    @websocket("/ws")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    app = Litestar([home, echo], plugins=[GranianPlugin()])
"""
EMMETT = """
    from emmett55 import App, response, websocket

    app = App(__name__)

    @app.route("/")
    async def home():
        return "first"

    @app.websocket("/ws")
    async def echo():
        await websocket.accept()
        await websocket.send(await websocket.receive())
"""

EMMETT_COMMAND = [sys.executable, "-c", "from emmett55.cli import main; main()"]


def litestar(program, *options: str) -> Program:
    pytest.importorskip("litestar_granian")
    command = [sys.executable, "-m", "litestar", "--app", "main:app", "run", "--port", "0", *options]
    running = program(LITESTAR, command=command, env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")})
    return running.wait_ready()


def echoes(running: Program, expected_code: int = 1000) -> None:
    with open_websocket(running, "/ws") as websocket:
        websocket.send("hello")
        assert websocket.message() == "hello"
        assert websocket.closed() == (expected_code, "")


def leave(running: Program) -> None:
    running.terminate()
    assert running.wait_exit(15) == 0, running.log()
    assert "Traceback" not in running.log()
    running.wait_gone()


def test_litestar(program):
    running = litestar(program)
    assert running.get("/").text == "first"
    echoes(running)
    leave(running)


@pytest.mark.parametrize("options", [[], ["--reload-include", "*.txt"]])
def test_litestar_reloads(program, options):
    running = litestar(program, "--reload", *options)
    running.wait_line("Watching for changes")
    running.write(LITESTAR.replace('"first"', '"second"'))
    wait_text(running, "second")
    leave(running)


def test_litestar_on_a_given_socket(program):
    pytest.importorskip("litestar_granian")
    passing = """
import os, socket, sys
given = socket.create_server(("127.0.0.1", 0))
print("@given", given.getsockname()[1], flush=True)
given.set_inheritable(True)
os.execv(sys.executable, [sys.executable, *sys.argv[1:], str(given.fileno())])
"""
    command = [sys.executable, "-c", passing, "-m", "litestar", "--app", "main:app", "run", "--port", "0", "--fd"]
    running = program(LITESTAR, command=command).wait_ready()
    assert running.note("given") == running.address[1]
    assert running.get("/").text == "first"
    leave(running)


@pytest.mark.parametrize("interface", ["rsgi", "asgi"])
def test_emmett(program, interface):
    pytest.importorskip("emmett55")
    command = [*EMMETT_COMMAND, "-a", "main.py", "serve", "--port", "0", "--interface", interface]
    running = program(EMMETT, command=command).wait_ready()
    assert running.get("/").text == "first"
    if interface == "rsgi":
        # Under ASGI emmett55 1.3 has its websockets under the name `ws` and finds none.
        echoes(running)
    leave(running)


def test_emmett_reloads(program):
    pytest.importorskip("emmett55")
    command = [*EMMETT_COMMAND, "-a", "main.py", "develop", "--port", "0"]
    running = program(EMMETT, command=command).wait_ready()
    assert running.get("/").text == "first"
    running.write(EMMETT.replace('"first"', '"second"'))
    wait_text(running, "second")
    running.signal(signal.SIGINT)
    running.wait_exit(15)


REFLEX = """
    import os
    from reflex.utils import exec as run
    from reflex_base.constants import LogLevel

    def make():
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                return await send({"type": "lifespan.startup.complete"})
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                message = await receive()
                await send({"type": "websocket.send", "text": message["text"]})
                return await send({"type": "websocket.close"})
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first"})
        return app

    if __name__ == "__main__":
        # All but the page builder, which needs node.
        from pathlib import Path
        run.get_app_instance_from_file = lambda: "main:make"
        run.get_reload_paths = lambda: [Path.cwd()]
        run.run_granian_backend("127.0.0.1", 0, LogLevel.INFO)
"""


def test_reflex(program):
    pytest.importorskip("reflex")
    running = program(REFLEX).wait_ready()
    assert running.get("/").text == "first"
    echoes(running)
    running.write(REFLEX.replace('b"first"', 'b"second"'))
    wait_text(running, "second")
    leave(running)
