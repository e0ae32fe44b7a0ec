"""The log goes into a pipe: nobody reads it any more, or its reader has gone. Neither holds up requests or the stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.wire import Wire

from .conftest import HELLO, is_alive, write_app

WSGI = """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
"""
RSGI = """
    class Application:
        async def __rsgi__(self, scope, protocol):
            protocol.response_str(200, [], "ok")

    app = Application()
"""
APPS = {"asgi": HELLO, "asginl": HELLO, "rsgi": RSGI, "wsgi": WSGI}
# What the log may cost the whole way to the end: a second in the supervisor, one in the worker.
WITHIN = 4.0


class Piped:
    """A server whose log goes into a pipe of the test's."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.reader, self.writer = os.pipe()
        command = [sys.executable, "-m", "granian", "main:app", "--port", "0", *options]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self.writer,
            stderr=self.writer,
            start_new_session=True,
        )
        text = ""
        while "Started worker-1" not in text:
            piece = os.read(self.reader, 4096).decode()
            assert piece, text
            text += piece
        self.workers = [int(pid) for pid in re.findall(r"with PID: (\d+)", text)]
        self.port = int(re.search(r"Listening at: http://127.0.0.1:(\d+)", text)[1])  # type: ignore[index]

    def fill(self) -> None:
        """Leaves no room in the pipe, without changing how others write to it."""
        writer = os.open(f"/proc/self/fd/{self.writer}", os.O_WRONLY | os.O_NONBLOCK)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.close(writer)

    def hang_up(self) -> None:
        os.close(self.reader)
        os.close(self.writer)
        self.reader = self.writer = -1

    def get(self, path: str) -> int:
        with Wire(("127.0.0.1", self.port)) as wire:
            return wire.request("GET", path).response().status

    def stop(self, *signals: int) -> float:
        """Seconds until the end."""
        started = time.monotonic()
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
        assert self.process.wait(30) == 0
        assert not [pid for pid in self.workers if is_alive(pid)]
        return time.monotonic() - started

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.reader >= 0:
            self.hang_up()


@pytest.fixture
def piped(tmp_path: Path) -> Iterator[Callable[..., Piped]]:
    started: list[Piped] = []

    def start(interface: str, *options: str) -> Piped:
        write_app(tmp_path, APPS[interface])
        started.append(Piped(tmp_path, "--interface", interface, *options))
        return started[-1]

    yield start
    for item in started:
        item.close()


@pytest.mark.skipif(sys.platform != "linux", reason="opens the pipe anew")
@pytest.mark.parametrize("interface", APPS)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nobody_reads(piped, interface, loop):
    """It took 15 s with a drain of 2, also after a second signal."""
    pytest.importorskip(loop)
    server = piped(interface, "--access-log", "--loop", loop, "--drain-timeout", "2")
    server.fill()
    assert [server.get("/") for _ in range(20)] == [200] * 20
    assert server.stop() < WITHIN


def test_nobody_reads_and_the_stop_is_urgent(piped):
    server = piped("asginl", "--workers", "2")
    server.fill()
    assert server.stop(signal.SIGTERM, signal.SIGTERM) < WITHIN


def test_replacement_goes_on(piped):
    server = piped("asginl")
    server.fill()
    (old,) = server.workers
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while is_alive(old):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert server.get("/") == 200
    assert server.stop() < WITHIN


@pytest.mark.parametrize("interface", APPS)
def test_reader_has_gone(piped, interface):
    """As `granian | head` leaves it: the exit code is that of a stop, not that of a stream that cannot be flushed."""
    server = piped(interface, "--access-log")
    server.hang_up()
    assert [server.get("/") for _ in range(5)] == [200] * 5
    assert server.stop() < WITHIN
