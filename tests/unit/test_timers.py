"""`granian.supervisor.timers`: order, cancelling, and timers that make timers."""

import pytest

from granian.supervisor import timers as module
from granian.supervisor.timers import Timers


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_nothing_to_wait_for(clock):
    timers = Timers()
    assert timers.left() is None
    timers.run()


def test_calls_come_in_order(clock):
    timers, calls = Timers(), []
    timers.after(2, lambda: calls.append("second"))
    timers.after(1, lambda: calls.append("first"))
    timers.after(2, lambda: calls.append("third"))
    assert timers.left() == 1
    timers.run()
    assert calls == []
    clock.now += 2
    assert timers.left() == 0
    timers.run()
    assert calls == ["first", "second", "third"]
    assert timers.left() is None


def test_cancelled_timer(clock):
    timers, calls = Timers(), []
    timer = timers.after(1, lambda: calls.append("cancelled"))
    timers.after(3, lambda: calls.append("kept"))
    timer.cancel()
    timer.cancel()
    assert timers.left() == 3
    clock.now += 5
    timers.run()
    assert calls == ["kept"]


def test_timer_cancelled_by_the_one_before(clock):
    timers, calls = Timers(), []
    later = timers.after(2, lambda: calls.append("later"))
    timers.after(1, later.cancel)
    clock.now += 2
    timers.run()
    assert calls == []


def test_repeating_timer_runs_once_a_turn(clock):
    timers, calls = Timers(), []

    def again():
        calls.append(clock.now)
        timers.after(1, again)

    timers.after(1, again)
    for _ in range(3):
        clock.now += 1
        timers.run()
    assert calls == [101, 102, 103]
