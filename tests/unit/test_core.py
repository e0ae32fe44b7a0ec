"""The native worker on an event loop of the test's own, without processes around it."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from granian._granian import Worker
from granian.config import Config
from granian.config.worker import WorkerOptions
from granian.constants import Interfaces


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def start(loop, listener) -> Iterator[Callable[[Any], Worker]]:
    workers = []

    def start(app: Any, interface: Interfaces = Interfaces.ASGI) -> Worker:
        options = WorkerOptions.from_config(
            Config("test:app"),
            interface=interface,
            state=None,
            access_log=None,
            on_exception=lambda error: None,
        )
        worker = Worker(app, options, loop)
        worker.listen(listener.fileno())
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.close()


def test_drained_worker_hears_of_no_connection(start, listener):
    """The socket stays open for other workers: what they are to accept wakes only them."""
    worker = start(None)
    worker.turn()
    drained = []
    worker.drain(lambda: drained.append(True))
    worker.turn()
    assert drained
    with socket.create_connection(listener.getsockname()):
        assert select.select([listener], [], [], 10)[0]
        assert not select.select([worker.fileno()], [], [], 0)[0]
