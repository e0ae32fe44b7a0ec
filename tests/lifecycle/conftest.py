"""Fixtures: a server of each test's own, with an application that the test writes."""

from __future__ import annotations

import os
import re
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from e2e.server import Server, Spec

# A shell that runs the tests in the background has them ignore it, and so would the servers.
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
HERE = Path(__file__).parent
TEST_TIMEOUT = 60

HELLO = """
    import os

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`LIFECYCLE_REPEAT=50` runs every test that often: what hangs or is lost once in a while shows."""
    if count := int(os.environ.get("LIFECYCLE_REPEAT", "0")):
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(count))


class Service(Server):
    """A server, its workers, and the file that its application is in."""

    @property
    def file(self) -> Path:
        return self.spec.cwd / "main.py"

    def write(self, source: str) -> None:
        """Puts a new application in place at once."""
        write_app(self.spec.cwd, source)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def pids(self) -> list[int]:
        """Every worker's process id since the start, in order."""
        return [int(pid) for pid in re.findall(r"Spawning worker-\d+ with PID: (\d+)", self.log())]

    def wait_gone(self, pids: list[int] | None = None, timeout: float = 5) -> None:
        """Until no worker is left."""
        deadline = time.monotonic() + timeout
        while left := [pid for pid in (self.pids() if pids is None else pids) if is_alive(pid)]:
            assert time.monotonic() < deadline, f"workers {left} are left:\n{self.log()}"
            time.sleep(0.01)


class Program(Service):
    """A program of the test's own that serves, instead of the command."""

    def __init__(self, folder: Path, command: list[str], env: dict[str, str]) -> None:
        # The server's command is everything but its target.
        with mock.patch("e2e.server.COMMAND", command[:-1]):
            super().__init__(Spec(command[-1], env=tuple(env.items()), cwd=folder))

    def _arguments(self) -> list[str]:
        return []


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """`program(source, *arguments)`: runs the source as `main.py`; `command=` runs something else with it there."""
    started: list[Program] = []

    def start(
        source: str, *arguments: str, command: list[str] | None = None, env: dict[str, str] | None = None
    ) -> Program:
        write_app(tmp_path, source)
        started.append(Program(tmp_path, command or [sys.executable, "main.py", *arguments], env or {}))
        return started[-1]

    yield start
    for item in started:
        if item.process.poll() is None:
            item.kill()
        else:
            item.wait_exit()


def wait_count(service: Server, text: str, count: int, timeout: float = 30) -> None:
    """Until the log has the text so many times."""
    deadline = time.monotonic() + timeout
    while service.log().count(text) < count:
        assert time.monotonic() < deadline, f"{service.log().count(text)} of {count} {text!r}:\n{service.log()}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def write_app(folder: Path, source: str) -> None:
    temporary = folder / "main.py.new~"
    temporary.write_text(textwrap.dedent(source))
    os.replace(temporary, folder / "main.py")


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """`launch(source, *options, interface=…, target=…)`: starts and does not wait."""
    launched: list[Service] = []

    def start(source: str | None, *options: str, interface: str | None = "asginl", target: str = "main:app") -> Service:
        if source is not None:
            write_app(tmp_path, source)
        env = (("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONPATH", os.environ.get("PYTHONPATH", "")))
        launched.append(Service(Spec(target, interface, options, env=env, cwd=tmp_path)))
        return launched[-1]

    yield start
    for service in launched:
        if service.process.poll() is None:
            service.kill()
        else:
            service.wait_exit()
        try:
            service.wait_gone()
        finally:
            for pid in filter(is_alive, service.pids()):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def serve(launch: Callable[..., Service]) -> Callable[..., Service]:
    """The same, and waits until it serves."""

    def start(source: str | None = HELLO, *options: str, **more: str) -> Service:
        service = launch(source, *options, **more)
        service.wait_ready()
        return service

    return start
