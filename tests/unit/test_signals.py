"""`granian.supervisor.signals`: signals that wake, that interrupt, and that are given back."""

from __future__ import annotations

import os
import signal
import time

import pytest

from granian.supervisor.signals import Interrupted, SignalWatch


def test_taken_and_given_back():
    before = signal.getsignal(signal.SIGHUP)
    with SignalWatch() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.read() == [signal.SIGHUP]
        assert signals.read() == []
    assert signal.getsignal(signal.SIGHUP) is before


def test_entered_twice_and_given_back_once():
    before = signal.getsignal(signal.SIGTERM)
    with SignalWatch() as signals:
        with signals:
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.read() == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is before
        signals.wake()
    assert signal.getsignal(signal.SIGTERM) is before


def test_stop_interrupts_what_takes_long():
    with SignalWatch() as signals:
        with pytest.raises(Interrupted), signals.interrupting():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.SIGTERM in signals.read()


def test_stop_right_before_a_system_call():
    """Python looks at such a signal when the call returns; a stop while preloading hung once in a hundred times."""
    with SignalWatch() as signals, pytest.raises(Interrupted), signals.interrupting():
        signals.wake(signal.SIGTERM)
        time.sleep(30)
