"""`granian.worker.signals`: handlers of a worker's signals."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading

import pytest

from granian.worker import signals


class Life:
    """A worker that serves."""

    loop = None

    class serving:
        class worker:
            connections = 1
            requests = 2

        class watch:
            @staticmethod
            def describe():
                pass


@pytest.fixture
def usr2():
    before = signal.getsignal(signal.SIGUSR2)
    yield
    faulthandler.unregister(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)


def test_dump_in_the_middle_of_a_line(usr2, monkeypatch, capfd):
    """The application got the error of a write that is not reentrant."""
    said, is_said = [], threading.Event()

    def refuse(*arguments):
        said.append((threading.current_thread() is threading.main_thread(), *arguments))
        is_said.set()
        raise RuntimeError("reentrant call inside <_io.BufferedWriter>")

    monkeypatch.setattr(signals.logger, "warning", refuse)
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    signals.handle_dumps(Life())
    os.kill(os.getpid(), signal.SIGUSR2)
    assert is_said.wait(10)
    # On another thread: the interrupted code may hold what a line needs.
    assert said == [(False, "%d connections, %d requests in flight", 1, 2)]
    assert "most recent call first" in capfd.readouterr().err
