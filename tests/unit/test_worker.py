"""One worker's life on a thread of the test, told by its pipe."""

from __future__ import annotations

import multiprocessing
import socket
import threading
from dataclasses import replace

import pytest

from granian.config import Config
from granian.failure import describe
from granian.importer import find_target
from granian.supervisor.report import Boot, Command, Loader, Report
from granian.worker import WorkerLife


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


class Rig:
    """A worker on a thread."""

    def __init__(self, app, **options) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.setblocking(False)
        limit = options.pop("request_limit", None)
        config = Config.from_kwargs(target="x", **{"interface": "asginl", "loop": "asyncio", **options})
        self.pipe, theirs = multiprocessing.Pipe()
        loader = Loader(lambda: app, with_target=False)
        boot = Boot(1, config, 1.0, {0: self.listener}, loader=loader, request_limit=limit)
        self.life = WorkerLife(boot, theirs)
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run, args=(theirs,))
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
        rig.life.boot.sockets[1] = another
        rig.pipe.send((Command.LISTEN, (1, False)))
        with socket.create_connection(another.getsockname(), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
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
        import asyncio

        await asyncio.sleep(60)

    rig = Rig(endless)
    rig.life.boot = replace(rig.life.boot, drain_timeout=60.0)
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


@pytest.mark.parametrize("text", ["Could not import 'nowhere'."])
def test_descriptions_of_targets(text):
    from granian.importer import find_target

    try:
        find_target("nowhere")
    except RuntimeError as error:
        assert describe(error) == text
