"""The worker's pipe on every event loop: messages and descriptors come whole."""

from __future__ import annotations

import multiprocessing
import os
import socket

import pytest
from test_worker import Rig, hello

from granian.worker.pipe import WorkerPipe, send_socket
from granian.worker.report import Command, Report


@pytest.fixture(params=["asyncio", "uvloop"])
def rig(request):
    if request.param != "asyncio":
        pytest.importorskip(request.param)
    rig = Rig(hello, loop=request.param)
    rig.wait(Report.READY)
    yield rig
    rig.pipe.send((Command.STOP, None))
    rig.wait(Report.GONE)
    assert rig.finish() == 0


def test_watching_it_does_not_make_it_non_blocking(rig):
    """uvloop does that to what it watches; a message that came in two parts would then be lost."""
    assert os.get_blocking(rig.life._pipe.fileno())


def test_descriptor_that_follows_its_command(rig):
    with socket.create_server(("127.0.0.1", 0)) as another:
        another.setblocking(False)
        rig.pipe.send((Command.LISTEN, (7, None)))
        with socket.fromfd(rig.pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            send_socket(channel, another)
        with socket.create_connection(another.getsockname(), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_beats_that_nobody_reads():
    """A supervisor that stands still does not stop its workers: the pipe was full after a while."""
    ours, theirs = multiprocessing.Pipe()
    pipe = WorkerPipe(theirs)
    for _ in range(20_000):
        pipe.beat()
    pipe.report(Report.GONE)
    while ours.recv()[0] is not Report.GONE:
        pass
    pipe.beat()
    assert ours.recv() == (Report.BEAT, None)
    ours.close()
    theirs.close()


@pytest.mark.timeout(10)
def test_reading_never_waits():
    """A command that was taken between the loop's look and its call made the worker stand still until it was killed."""
    ours, theirs = multiprocessing.Pipe()
    pipe = WorkerPipe(theirs)
    assert [*pipe.commands()] == []
    ours.send((Command.REPLACED, None))
    ours.send((Command.CANCEL, None))
    assert [command for command, _ in pipe.commands()] == [Command.REPLACED, Command.CANCEL]
    assert [*pipe.commands()] == []
    ours.close()
    with pytest.raises(EOFError):
        [*pipe.commands()]
    theirs.close()
