"""`granian.supervisor.core`: what a signal or a file leads to, without any worker."""

from __future__ import annotations

import multiprocessing
import signal
import threading

import pytest

from granian.config import Config
from granian.errors import ConfigurationError
from granian.sockets import Listeners
from granian.supervisor import core
from granian.supervisor.core import Hooks, Phase, Supervisor
from granian.supervisor.plan import Plan
from granian.supervisor.signals import SignalWatch


class Files:
    """A watch for file changes that has one."""

    def __init__(self) -> None:
        self.pipe, self._theirs = multiprocessing.Pipe(duplex=False)
        self._theirs.send(["Modified: main.py"])

    def read(self) -> list[str]:
        return [] if not self.pipe.poll() else self.pipe.recv()


@pytest.fixture
def make():
    made: list[SignalWatch] = []

    def supervisor(load=dict, **options) -> Supervisor:
        config = Config.from_kwargs(target="a:b", interface="asgi", **options)
        made.append(SignalWatch().__enter__())
        plan = Plan(config, Listeners([]), lambda boot: pytest.fail("a worker"), 1.0)
        return Supervisor(plan, Hooks(load, lambda: None), made[-1])

    yield supervisor
    for signals in made:
        signals.__exit__()


def test_environment_that_cannot_be_read(make):
    """It killed the workers."""

    def load():
        raise ConfigurationError("env_files", "it is broken")

    supervisor = make(load)
    supervisor.crew.environment = {"A": "1"}
    supervisor._handle_signal(signal.SIGHUP)
    assert supervisor.crew.environment == {"A": "1"}


def test_signals_that_nobody_knows(make):
    supervisor = make()
    supervisor._handle_signal(signal.SIGRTMIN + 1)
    supervisor._handle_signal(250)


@pytest.mark.parametrize("phase", Phase)
def test_changes_keep_nobody_busy_that_does_not_read_them(make, monkeypatch, phase):
    """A file that was saved during the drain had the loop turn for ever."""
    watched = []
    monkeypatch.setattr(core, "wait", lambda items, timeout: watched.extend(items))
    supervisor = make()
    supervisor._files = Files()
    supervisor._phase = phase
    supervisor._turn()
    assert (supervisor._files.pipe in watched) is (phase is Phase.RUNNING)


def test_loss_during_a_stop_changes_nothing(make):
    supervisor = make()
    supervisor.stop()
    supervisor.crew.on_fatal()
    assert supervisor._exit_code == 0


def test_without_signals_it_looks_by_itself(make):
    supervisor = make()
    assert supervisor._patience() is None
    supervisor._signals.__exit__()
    watch = SignalWatch()
    thread = threading.Thread(target=watch.__enter__, daemon=True)
    thread.start()
    thread.join()
    supervisor._signals = watch
    assert supervisor._patience() == 0.5
    watch.__exit__()
