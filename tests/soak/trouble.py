"""Disturbs the workers of a soak while they serve, at random, from a seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import watch

WORKERS = 4


@dataclass(frozen=True)
class Kill:
    """One worker that was killed, and the connections that it had at that moment."""

    when: float
    pid: int
    ports: frozenset[int]

    def explains(self, failure: dict[str, Any]) -> bool:
        """Whether the connection of the failure was one of them."""
        return failure["port"] in self.ports and failure["opened"] < self.when < failure["failed"]


class Trouble:
    """Makes it, and keeps account."""

    def __init__(self, supervisor: int, workers: Callable[[], list[int]], seed: int) -> None:
        self.made: Counter[str] = Counter()
        self.kills: list[Kill] = []
        self._supervisor = supervisor
        # The workers that serve now, by the log.
        self._workers = workers
        self._random = random.Random(seed)
        self._extra = 0
        # Workers that there have been at once.
        self.most = WORKERS

    def make(self) -> str:
        """One thing; gives its name."""
        kinds = [self.reload, self.reload, self.kill, self.kill, self.stop_one, self.grow, self.shrink, self.others]
        name = self._random.choice(kinds)()
        self.made[name] += 1
        return name

    def pause(self) -> float:
        """Seconds until the next."""
        return self._random.uniform(1.0, 5.0)

    def reload(self) -> str:
        os.kill(self._supervisor, signal.SIGHUP)
        return "HUP"

    def kill(self) -> str:
        """Stands the worker still first: whose connections it has is certain then."""
        pid = self._random.choice(self._workers() or [0])
        try:
            if not pid:
                raise ProcessLookupError
            os.kill(pid, signal.SIGSTOP)
            deadline = time.monotonic() + 5
            while not watch.stopped(pid) and time.monotonic() < deadline:
                time.sleep(0.001)
            ports = frozenset(watch.peers(pid))
            when = time.monotonic()
            os.kill(pid, signal.SIGKILL)
        except OSError:
            # It has left meanwhile.
            return "kill -9 of a worker that was gone"
        self.kills.append(Kill(when, pid, ports))
        return "kill -9 of a worker"

    def stop_one(self) -> str:
        for pid in self._workers()[:1]:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
        return "SIGTERM to a worker"

    def grow(self) -> str:
        if self._extra == 2:
            return self.shrink()
        self._extra += 1
        self.most = max(self.most, self.expected)
        os.kill(self._supervisor, signal.SIGTTIN)
        return "TTIN"

    def shrink(self) -> str:
        if self._extra == -2:
            return self.grow()
        self._extra -= 1
        os.kill(self._supervisor, signal.SIGTTOU)
        return "TTOU"

    @property
    def expected(self) -> int:
        """Workers that there are to be."""
        return WORKERS + self._extra

    def settle(self) -> bool:
        """One step towards as many workers as in the beginning: two equal signals at once would be one."""
        if self._extra > 0:
            self.shrink()
        elif self._extra < 0:
            self.grow()
        else:
            return False
        return True

    def others(self) -> str:
        """Log files anew, for all at once."""
        os.kill(self._supervisor, signal.SIGUSR1)
        return "USR1"
