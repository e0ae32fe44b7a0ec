"""The native worker on an event loop of the test's own, without processes around it."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest

from granian._granian import Worker
from granian.binding import Role
from granian.config import Config, TlsOptions, WorkerOptions
from granian.constants import Interfaces
from granian.errors import ConfigurationError


def options_of(interface: Interfaces) -> WorkerOptions:
    return WorkerOptions.from_config(
        Config("test:app", blocking_threads=1),
        interface=interface,
        state=None,
        access_log=None,
        on_exception=lambda error: None,
    )


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
        worker = Worker(app, options_of(interface), loop)
        worker.listen(listener.fileno())
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.close()


def test_worker_that_cannot_be_made_leaves_nothing_behind(loop, tmp_path):
    """Nor do further ones on the same thread find themselves in its company."""
    tls = TlsOptions([(tmp_path / "none", tmp_path / "none", None)], [], None, [], False, None)
    options = replace(options_of(Interfaces.ASGI), tls=tls)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(ConfigurationError, match="ssl_cert"):
            Worker(None, options, loop)
    assert len(os.listdir("/proc/self/fd")) == before


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


def test_listeners_of_every_role_end_with_the_worker(start, listener):
    worker = start(None)
    with socket.create_server(("127.0.0.1", 0)) as plain:
        for role in Role:
            worker.listen(plain.fileno(), role.value, 443)
            worker.unlisten(plain.fileno())
        worker.listen(plain.fileno(), Role.REDIRECT.value, 443)
        with socket.create_connection(plain.getsockname()) as client:
            client.sendall(b"GET /a?b HTTP/1.1\r\nHost: h:80\r\nConnection: close\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer:
                assert select.select([worker.fileno(), client], [], [], 10)[0]
                worker.turn()
                if select.select([client], [], [], 0)[0]:
                    answer += client.recv(4096)
        assert b" 308 " in answer
        assert b"\r\nlocation: https://h/a?b\r\n" in answer
        drained = []
        worker.drain(lambda: drained.append(True))
        while not drained:
            assert select.select([worker.fileno()], [], [], 10)[0]
            worker.turn()


@pytest.mark.parametrize(("role", "port"), [("status", None), ("redirect", None)])
def test_a_role_that_the_core_does_not_have(start, listener, role, port):
    with pytest.raises(ValueError, match=role):
        start(None).listen(listener.fileno(), role, port)


@pytest.mark.parametrize("what", ["turn", "close", "cancel", "drain"])
@pytest.mark.parametrize("interface", [Interfaces.ASGI, Interfaces.WSGI])
def test_worker_that_is_called_by_its_application(loop, listener, start, interface, what):
    """The turn that the application is called in goes on, or ends as soon as it can."""
    outcomes = []

    def call_worker() -> None:
        calls = {"drain": lambda: worker.drain(lambda: outcomes.append("drained"))}
        calls.get(what, getattr(worker, what))()
        outcomes.append(what)

    async def asgi(scope, receive, send) -> None:
        call_worker()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 100_000})

    def wsgi(environ, start_response):
        call_worker()
        start_response("200 OK", [])
        yield b"x" * 50_000
        yield b"x" * 50_000

    async def fetch() -> bytes:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = await reader.read()
        writer.close()
        while worker.connections or worker.requests:
            await asyncio.sleep(0)
        return received

    worker = start(wsgi if interface is Interfaces.WSGI else asgi, interface)
    loop.add_reader(worker.fileno(), worker.turn)
    received = loop.run_until_complete(asyncio.wait_for(fetch(), 10))
    loop.remove_reader(worker.fileno())
    assert outcomes[0] == what
    if what in ("turn", "drain"):
        assert received.count(b"x") == 100_000


# A distributed run has a thread of its own; this child runs nothing but the core.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_child_that_ends_its_copy_leaves_the_connections_alone(loop, listener, start):
    """What is registered with the poller is registered for both processes."""

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    def close_in_child() -> None:
        child = os.fork()
        if child == 0:
            try:
                worker.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    async def fetch() -> None:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        for fork in (close_in_child, lambda: None):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            fork()
        writer.close()

    worker = start(app)
    loop.add_reader(worker.fileno(), worker.turn)
    loop.run_until_complete(asyncio.wait_for(fetch(), 10))
    loop.remove_reader(worker.fileno())


def test_turns_that_are_asked_for_do_not_become_more(loop, start):
    """Connections always have more to do, so that each turn asks for one, be it one that was asked for or not."""
    asked = 0

    def turn() -> None:
        nonlocal asked
        asked += 1
        worker.turn()

    async def most_in_a_pass(clients: list[socket.socket]) -> int:
        most = 0
        for _ in range(20):
            for client in clients:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
                with suppress(BlockingIOError):
                    client.recv(1 << 20)
            before = asked
            worker.turn()
            await asyncio.sleep(0)
            most = max(most, asked - before)
        return most

    worker = start(None)
    worker.set_turn(turn)
    with ExitStack() as stack:
        plain = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        worker.listen(plain.fileno(), Role.REDIRECT.value, 443)
        clients = [stack.enter_context(socket.create_connection(plain.getsockname())) for _ in range(8)]
        for client in clients:
            client.setblocking(False)
        most = loop.run_until_complete(most_in_a_pass(clients))
    assert most == 1
