"""One worker's life on a thread of the test, told by its pipe."""

from __future__ import annotations

import asyncio
import logging.config
import multiprocessing
import socket
import sys
import threading
from dataclasses import replace

import pytest

from granian.config import Config
from granian.importer import find_target
from granian.log import logger
from granian.start_errors import describe
from granian.worker.life import WorkerLife
from granian.worker.report import Command, Report
from granian.worker.spec import Loader, WorkerSpec


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


HELLO = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Rig:
    """A worker on a thread."""

    def __init__(self, app, **options) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.setblocking(False)
        limit = options.pop("request_limit", None)
        loader = Loader(options.pop("loader", lambda: app), with_target=False)
        config = Config.from_kwargs(target="x", **{"interface": "asginl", "loop": "asyncio", **options})
        self.pipe, theirs = multiprocessing.Pipe()
        spec = WorkerSpec(1, config, 1.0, {0: self.listener}, loader=loader, request_limit=limit)
        self.life = WorkerLife(spec, theirs)
        self.code: int | None = None
        # A worker that a failed test leaves behind doesn't hold the interpreter's exit.
        self.thread = threading.Thread(target=self._run, args=(theirs,), daemon=True)
        self.thread.start()

    def _run(self, theirs) -> None:
        self.code = self.life.run()
        theirs.close()

    def wait(self, report: Report) -> str | None:
        while True:
            assert self.pipe.poll(10), f"no {report}"
            found, text = self.pipe.recv()
            if found is report:
                return text

    def get(self) -> bytes:
        with socket.create_connection(self.listener.getsockname(), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := client.recv(65536):
                answer += data
        return answer

    def finish(self) -> int | None:
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.pipe.close()
        self.listener.close()
        return self.code


def test_traceback_begins_with_the_application(tmp_path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("def f():\n    raise ValueError('at import')\n\nf()\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        find_target("broken_one:app")
    except ValueError as error:
        # Without the frame of this test.
        first, file, *_ = describe(error.with_traceback(error.__traceback__.tb_next)).splitlines()
    assert first == "Traceback (most recent call last):"
    assert file.endswith('broken_one.py", line 4, in <module>')


def test_serves_and_stops():
    rig = Rig(hello)
    rig.wait(Report.READY)
    assert rig.get().endswith(b"hello")
    rig.pipe.send((Command.STOP, None))
    rig.wait(Report.DRAINING)
    rig.wait(Report.GONE)
    assert rig.finish() == 0


def test_ends_with_its_supervisor():
    rig = Rig(hello)
    rig.wait(Report.READY)
    rig.pipe.close()
    assert rig.finish() == 0


def test_says_when_it_is_spent():
    rig = Rig(hello, request_limit=3)
    rig.wait(Report.READY)
    for _ in range(3):
        rig.get()
    rig.wait(Report.SPENT)
    rig.pipe.send((Command.STOP, None))
    assert rig.finish() == 0


def test_beats():
    rig = Rig(hello, hang_timeout=1)
    rig.wait(Report.READY)
    rig.wait(Report.BEAT)
    rig.wait(Report.BEAT)
    rig.pipe.send((Command.STOP, None))
    assert rig.finish() == 0


def test_adopts_a_socket():
    with socket.socket() as another:
        another.bind(("127.0.0.1", 0))
        another.listen()
        another.setblocking(False)
        rig = Rig(hello)
        rig.wait(Report.READY)
        rig.pipe.send((Command.LISTEN, (1, another.fileno())))
        with socket.create_connection(another.getsockname(), 10) as client:
            client.sendall(HELLO)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            # Its connections go on when it leaves the socket; what comes from now on waits for somebody else.
            rig.pipe.send((Command.UNLISTEN, 1))
            rig.pipe.send((Command.UNLISTEN, 1))
            rig.get()
            with socket.create_connection(another.getsockname(), 10) as later:
                later.sendall(HELLO)
                client.sendall(HELLO)
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
                assert rig.get().endswith(b"hello")
                accepted, _ = another.accept()
                with accepted:
                    accepted.setblocking(True)
                    assert accepted.recv(65536) == HELLO
            # And again.
            rig.pipe.send((Command.LISTEN, (1, another.fileno())))
        with socket.create_connection(another.getsockname(), 10) as client:
            client.sendall(HELLO)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        rig.pipe.send((Command.STOP, None))
        assert rig.finish() == 0


def test_application_that_cannot_start():
    class Broken:
        def __rsgi_init__(self, loop):
            raise ValueError("no database")

        async def __rsgi__(self, scope, protocol): ...

    rig = Rig(Broken(), interface="rsgi")
    text = rig.wait(Report.FAILED)
    assert text is not None and "ValueError: no database" in text
    assert rig.finish() == 1


def test_hurry():
    async def endless(scope, receive, send):
        await asyncio.sleep(60)

    rig = Rig(endless)
    rig.life.spec = replace(rig.life.spec, drain_timeout=60.0)
    rig.wait(Report.READY)
    with socket.create_connection(rig.listener.getsockname(), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        rig.pipe.send((Command.STOP, None))
        rig.wait(Report.DRAINING)
        rig.pipe.send((Command.CANCEL, None))
        rig.wait(Report.GONE)
    assert rig.finish() == 0


def test_descriptions():
    try:
        raise ValueError("the application's own")
    except ValueError as error:
        assert describe(error).startswith("Traceback")


def test_startup_that_is_stopped():
    """Its tasks were cancelled and the loop closed at once: nothing was cleaned up."""
    seen = []
    starting = threading.Event()

    async def app(scope, receive, send):
        async def poll():
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.01)
                seen.append("poller")

        poller = asyncio.create_task(poll())
        try:
            await asyncio.sleep(0)
            starting.set()
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            seen.append(f"lifespan, {poller.done()}")

    rig = Rig(app, interface="asgi")
    assert starting.wait(10)
    rig.life.request_stop()
    rig.wait(Report.GONE)
    assert rig.finish() == 0
    assert seen == ["poller", "lifespan, True"]


def test_tasks_of_a_startup_that_fails():
    seen = []

    async def poll():
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("poller")

    async def app(scope, receive, send):
        app.poller = asyncio.create_task(poll())
        await asyncio.sleep(0)
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    rig = Rig(app, interface="asgi")
    assert rig.wait(Report.FAILED) == "ASGI lifespan startup failed"
    assert rig.finish() == 1
    assert seen == ["poller"]


def test_why_it_leaves():
    async def leave(scope, receive, send):
        asyncio.get_running_loop().call_soon(sys.exit, 3)

    rig = Rig(leave)
    rig.wait(Report.READY)
    rig.get()
    assert rig.wait(Report.DRAINING) == "the application has left with SystemExit(3)"
    assert rig.finish() == 1


def test_requests_that_are_cut(caplog, monkeypatch):
    monkeypatch.setattr(logger, "propagate", True)

    async def endless(scope, receive, send):
        await asyncio.sleep(60)

    rig = Rig(endless)
    rig.wait(Report.READY)
    with socket.create_connection(rig.listener.getsockname(), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        rig.pipe.send((Command.STOP, None))
        rig.wait(Report.DRAINING)
        rig.pipe.send((Command.CANCEL, None))
        rig.wait(Report.GONE)
    assert rig.finish() == 0
    assert "Cancelling 1 request that did not end" in caplog.messages


def test_application_that_switches_loggers_off():
    def load():
        logging.config.dictConfig({"version": 1})
        return hello

    before = {item: item.disabled for item in logging.root.manager.loggerDict.values() if hasattr(item, "disabled")}
    try:
        rig = Rig(hello, loader=load)
        rig.wait(Report.READY)
        assert not logger.disabled
        rig.pipe.send((Command.STOP, None))
        assert rig.finish() == 0
    finally:
        for item, value in before.items():
            item.disabled = value


@pytest.mark.parametrize("text", ["Could not import 'nowhere'."])
def test_descriptions_of_targets(text):
    from granian.importer import find_target

    try:
        find_target("nowhere")
    except RuntimeError as error:
        assert describe(error) == text
