"""SIGTERM and SIGINT: idle connections are closed, running requests finish, the exit code is 0."""

from __future__ import annotations

import signal

import pytest

from .server import Server, script
from .wire import Wire

TARGETS = {
    "asgi": ("asgi_probe:app", "asginl"),
    "rsgi": ("rsgi_probe:app", "rsgi"),
    "wsgi": ("wsgi_probe:app", "wsgi", "--blocking-threads", "8"),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("interface", TARGETS)
def test_idle_server(server, interface, number):
    own: Server = server(*TARGETS[interface], fresh=True)
    assert own.get("/").body == b"hello"
    own.process.send_signal(number)
    assert own.wait_exit() == 0
    with pytest.raises(OSError):
        Wire(own.address)


@pytest.mark.parametrize("interface", TARGETS)
def test_idle_and_silent_connections(server, interface):
    own: Server = server(*TARGETS[interface], fresh=True)
    idle = [own.connect() for _ in range(3)]
    for wire in idle:
        assert wire.request("GET", "/").response().body == b"hello"
    silent = [own.connect() for _ in range(3)]
    assert own.get("/").body == b"hello"
    own.stop()
    for wire in idle + silent:
        with wire:
            assert wire.rest() == b""


@pytest.mark.parametrize("interface", TARGETS)
def test_running_request_finishes(server, interface):
    own: Server = server(*TARGETS[interface], fresh=True)
    with own.connect() as wire:
        wire.request("POST", "/echo", "Expect: 100-continue", "Content-Length: 5")
        assert wire.head().status == 100
        own.terminate()
        own.wait_line("Stopping worker-1")
        response = wire.send(b"hello").response()
        assert response.body == b"hello"
        assert response.header("connection") == "close"
        assert wire.rest() == b""
        assert own.wait_exit() == 0


def test_several_workers(server):
    own: Server = server(*TARGETS["asgi"], "--workers", "2", fresh=True)
    own.wait_line("Started worker-2")
    for _ in range(20):
        assert own.get("/").body == b"hello"
    own.stop()
    for worker in (1, 2):
        assert f"[INFO] Stopped worker-{worker}" in own.lines()


def test_last_response_outside_a_turn(server):
    """Nothing but the application's own call ends the last connection."""
    own: Server = server(*TARGETS["rsgi"], fresh=True)
    with own.connect() as wire:
        steps = ("await asyncio.sleep(2)", "protocol.response_str(200, [], 'done')")
        wire.request("GET", "/script", script(*steps)).half_close()
        assert own.get("/").body == b"hello"
        own.terminate()
        assert wire.response().body == b"done"
        assert own.wait_exit() == 0
