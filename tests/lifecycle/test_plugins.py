"""Frameworks and plugins that start the server themselves, with their real packages: pages, a websocket, a reload.

`make test` installs them (`.stamp-plugins` in the Makefile); a plain `pytest` skips them where they are not installed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.server import free_port
from e2e.websocket import open_websocket

import granian

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


# Folders with further versions of a plugin.
FORMER = sorted(Path(sys.prefix, "plugins").glob("litestar-granian==*"))


@pytest.fixture(params=[None, *FORMER], ids=["newest", *(folder.name.partition("==")[2] for folder in FORMER)])
def plugin(request):
    """The folder of a version of litestar-granian; `None` for the installed one."""
    pytest.importorskip("litestar_granian")
    return request.param


@pytest.fixture
def litestar(plugin, program):
    """`litestar(*options)`: `litestar run` with these, and each version of the plugin."""

    def start(*options: str) -> Program:
        command = [sys.executable, "-m", "litestar", "--app", "main:app", "run", "--port", "0", *options]
        path = os.pathsep.join(filter(None, [str(plugin or ""), os.environ.get("PYTHONPATH")]))
        return program(LITESTAR, command=command, env={"PYTHONPATH": path}).wait_ready()

    return start


def echoes(running: Program, expected_code: int = 1000) -> None:
    with open_websocket(running, "/ws") as websocket:
        websocket.send("hello")
        assert websocket.message() == "hello"
        assert websocket.closed() == (expected_code, "")


def leave(running: Program, at_keyboard: bool = False) -> None:
    """Ends it by SIGTERM, or by Ctrl-C at its terminal, which reaches all its processes."""
    if at_keyboard:
        os.killpg(running.process.pid, signal.SIGINT)
    else:
        running.terminate()
    assert running.wait_exit(15) == 0, running.log()
    assert "Traceback" not in running.log()
    running.wait_gone()


def test_no_plugin_has_replaced_this_server(tmp_path):
    """pip takes the one of the index where a plugin asks for granian<3."""
    where = "import granian; print(granian.__version__, granian.__file__)"
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True)
    version, file = found.stdout.strip().split(" ", 1)
    assert (version, Path(file).resolve()) == (granian.__version__, Path(granian.__file__).resolve())
    assert not version.startswith(("0.", "1.", "2."))


def test_litestar(litestar, plugin):
    running = litestar()
    assert running.get("/").text == "first"
    echoes(running)
    # The former versions leave the server behind when SIGTERM ends them.
    leave(running, at_keyboard=plugin is not None)


def test_litestar_reloads(litestar, plugin):
    # An option of its newest version.
    running = litestar("--reload", *(["--reload-include", "*.txt"] if plugin is None else []))
    running.wait_line("Watching for changes")
    running.write(LITESTAR.replace('"first"', '"second"'))
    wait_text(running, "second")
    leave(running, at_keyboard=plugin is not None)


def test_litestar_on_a_given_socket(program):
    """An option of its newest version."""
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
    import reflex as rx

    class State(rx.State):
        count: int = 0

        @rx.event
        def add(self):
            self.count += 1

    def index():
        return rx.text(State.count)

    app = rx.App()
    app.add_page(index)
    print("@state", '"' + State.get_full_name() + '"', flush=True)
"""
REFLEX_CONFIG = """
import reflex

config = reflex.Config(app_name="main", app_module_import="main")
"""


@pytest.fixture
def reflex(program, tmp_path):
    """`reflex(mode)`: its own command serves the back end; the front end needs packages for node."""
    pytest.importorskip("reflex")
    (tmp_path / "rxconfig.py").write_text(REFLEX_CONFIG)

    def start(mode: str) -> Program:
        # It looks itself whether a port is free.
        port = ["--backend-host", "127.0.0.1", "--backend-port", str(free_port())]
        command = [sys.executable, "-m", "reflex", "run", "--backend-only", "--loglevel", "debug", *port, "--env", mode]
        quiet = {"REFLEX_CHECK_LATEST_VERSION": "false", "REFLEX_TELEMETRY_ENABLED": "false"}
        return program(REFLEX, command=command, env={**quiet, "HOME": str(tmp_path)}).wait_ready()

    return start


def counted(running: Program) -> int:
    """The state behind one event, by the websocket that the browser would have."""
    import socketio

    state = running.note("state")
    with socketio.SimpleClient() as client:
        client.connect(f"{running.url}?token=a", namespace="/_event", socketio_path="_event", transports=["websocket"])
        client.emit("event", {"name": f"{state}.add", "payload": {}, "token": "a", "router_data": {"pathname": "/"}})
        while True:
            name, *values = client.receive(timeout=10)
            found = [change.get(state, {}).get("count_rx_state_") for change in (v.get("delta", {}) for v in values)]
            if name == "event" and any(found):
                return next(filter(None, found))


@pytest.mark.parametrize("mode", ["dev", "prod"])
def test_reflex(reflex, mode):
    running = reflex(mode)
    assert running.get("/ping").text == '"pong"'
    assert counted(running) == 1
    leave(running)


def test_reflex_reloads(reflex):
    running = reflex("dev")
    running.wait_line("Watching for changes")
    running.write(REFLEX.replace("+= 1", "+= 5"))
    running.wait_line("Stopped old worker-1")
    assert counted(running) % 5 == 0
    leave(running)
