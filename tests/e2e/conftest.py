"""Fixtures: servers, started once for all tests that want the same one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .server import STOP_WITHIN, Server, Spec
from .tls import Files

HERE = Path(__file__).parent
TEST_TIMEOUT = 60
MOST_SERVERS = 32
"""Shared servers that stand at once, 40 MB each; more than any one test asks for."""

ServerFactory = Callable[..., Server]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout(seconds): the time a test may take (pytest-timeout)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT))


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """Each event loop in turn."""
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


class Fleet:
    """The shared servers, the one that was used last at the end. All must stop at SIGTERM with exit code 0."""

    def __init__(self) -> None:
        self._servers: dict[Spec, Server] = {}
        self._leaving: list[Server] = []
        self._faults: list[str] = []

    def get(self, spec: Spec) -> Server:
        """The server of these arguments; others, unused for the longest time, are stopped where there are too many."""
        running = self._servers.pop(spec, None) or Server(spec).wait_ready()
        self._servers[spec] = running
        while len(self._servers) > MOST_SERVERS:
            self._end_leaving()
            self._dismiss(next(iter(self._servers)))
        return running

    def lose(self, running: Server) -> None:
        """Ends a server that is not well."""
        self._servers.pop(running.spec, None)
        running.kill()

    def stop(self) -> None:
        """Stops all of them; says what went wrong with any."""
        for spec in list(self._servers):
            self._dismiss(spec)
        self._end_leaving()
        assert not self._faults, "\n\n".join(self._faults)

    def _dismiss(self, spec: Spec) -> None:
        running = self._servers.pop(spec)
        running.terminate()
        self._leaving.append(running)

    def _end_leaving(self) -> None:
        for running in self._leaving:
            try:
                # Dozens of them end at the same time.
                running.finish(4 * STOP_WITHIN)
            except AssertionError as error:
                self._faults.append(f"{running.spec}: {error}")
                running.kill()
        self._leaving.clear()


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The shared servers of the session."""
    servers = Fleet()
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An authority and a server's certificate, for the tests of one file."""
    return Files.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(fleet: Fleet) -> Iterator[ServerFactory]:
    """Gives a running server: `server(target, interface, *options, loop=…, uds=…, env=…)`.

    Equal arguments give the same server from test to test, unless `fresh` asks for one of the
    test's own. After each test the servers it used must be well.
    """
    used: list[Server] = []
    own: list[Server] = []

    def get(target: str, interface: str | None = "asgi", *options: str, fresh: bool = False, **more: Any) -> Server:
        env = tuple(more.pop("env", {}).items())
        spec = Spec(target, interface, options, env=env, **more)
        if fresh:
            running = Server(spec)
            own.append(running)
            return running.wait_ready()
        used.append(fleet.get(spec))
        return used[-1]

    yield get
    faults = []
    for running in own + used:
        running.hang_up()
    for running in own:
        try:
            running.stop()
        except AssertionError as error:
            faults.append(str(error))
    for running in used:
        try:
            running.check()
        except AssertionError as error:
            fleet.lose(running)
            faults.append(str(error))
    assert not faults, "\n\n".join(faults)


@pytest.fixture
def launch() -> Iterator[Callable[..., Server]]:
    """Starts a server that need not come up, as `server` does but without waiting or checks."""
    launched: list[Server] = []

    def start(target: str, interface: str | None = "asgi", *options: str, **more: Any) -> Server:
        env = tuple(more.pop("env", {}).items())
        launched.append(Server(Spec(target, interface, options, env=env, **more)))
        return launched[-1]

    yield start
    for running in launched:
        if running.process.poll() is None:
            running.kill()
