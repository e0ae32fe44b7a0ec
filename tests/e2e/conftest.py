"""Fixtures: servers, started once for all tests that want the same one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .server import STOP_WITHIN, Server, Spec

HERE = Path(__file__).parent
TEST_TIMEOUT = 60

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


@pytest.fixture(scope="session")
def fleet() -> Iterator[dict[Spec, Server]]:
    """The shared servers. All must stop at SIGTERM with exit code 0."""
    servers: dict[Spec, Server] = {}
    yield servers
    for running in servers.values():
        running.terminate()
    faults = []
    for running in servers.values():
        try:
            # Dozens of them end at the same time.
            running.finish(4 * STOP_WITHIN)
        except AssertionError as error:
            faults.append(f"{running.spec}: {error}")
    assert not faults, "\n\n".join(faults)


@pytest.fixture
def server(fleet: dict[Spec, Server]) -> Iterator[ServerFactory]:
    """Gives a running server: `server(target, interface, *options, loop=…, uds=…, env=…)`.

    Equal arguments give the same server all through the session, unless `fresh` asks for one of
    the test's own. After each test the servers it used must be well.
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
        if spec not in fleet:
            fleet[spec] = Server(spec).wait_ready()
        used.append(fleet[spec])
        return fleet[spec]

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
            fleet.pop(running.spec, None)
            running.kill()
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
