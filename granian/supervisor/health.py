"""`Health`: watches the age, the memory and the pulse of serving workers."""

from __future__ import annotations

import random
import resource
import subprocess
import time
from pathlib import Path

from ..config import Config
from ..log import logger
from .crew import Crew
from .handle import WorkerHandle
from .slot import Slot
from .timers import Timers


class Health:
    """Has workers replaced that are old, large or stuck."""

    def __init__(self, config: Config, crew: Crew, timers: Timers) -> None:
        self._config = config
        self._crew = crew
        self._timers = timers
        self._large: dict[WorkerHandle, int] = {}
        self._silent: set[WorkerHandle] = set()

    def start(self) -> None:
        if self._config.workers_rss and not self._config.reload:
            self._timers.after(self._config.rss_sample_interval, self._sample)
        if self._config.hang_timeout:
            self._timers.after(self._config.hang_timeout / CHECKS, self._check_pulse)

    def handle_ready(self, slot: Slot, worker: WorkerHandle) -> None:
        """A worker begins to serve."""
        lifetime = self._config.workers_lifetime
        if lifetime and not self._config.reload:
            jitter = random.uniform(0, self._config.workers_lifetime_jitter or 0)
            self._timers.after(lifetime + jitter, lambda: self._expire(slot, worker))

    def _expire(self, slot: Slot, worker: WorkerHandle) -> None:
        if slot.serving is worker:
            self._crew.replace([slot], f"{worker.name} lifetime expired, gracefully respawning..", "lifetime")

    def _sample(self) -> None:
        self._timers.after(self._config.rss_sample_interval, self._sample)
        limit = self._config.workers_rss
        counts: dict[WorkerHandle, int] = {}
        for slot in self._crew.slots:
            worker = slot.serving
            if worker is None or limit is None:
                continue
            size = resident_bytes(worker.pid)
            if size is None:
                logger.warning("Unable to collect resource usage for workers")
                continue
            logger.debug("%s RSS: %d bytes", worker.name, size)
            counts[worker] = self._large.get(worker, 0) + 1 if size >= limit else 0
            if counts[worker] >= self._config.rss_samples:
                reason = f"{worker.name} RSS over threshold, gracefully respawning.."
                self._crew.replace([slot], reason, "memory")
        self._large = counts

    def _check_pulse(self) -> None:
        """Kills a worker that was silent in two checks in a row: between them the pipes are read."""
        timeout = self._config.hang_timeout
        assert timeout
        self._timers.after(timeout / CHECKS, self._check_pulse)
        silent: set[WorkerHandle] = set()
        for slot in self._crew.slots:
            worker = slot.serving
            if worker is None or worker.last_beat is None or time.monotonic() - worker.last_beat < timeout:
                continue
            silent.add(worker)
            if worker in self._silent:
                self._end_stuck(worker)
        self._silent = silent

    def _end_stuck(self, worker: WorkerHandle) -> None:
        logger.error(
            "%s has been stuck for %s s; its stacks follow, then it is killed", worker.name, self._config.hang_timeout
        )
        worker.last_beat = None
        worker.dump()
        self._timers.after(DUMP_TIME, lambda: self._crew.kill(worker))


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process, None if it cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        pass
    try:
        found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return int(found.stdout) * 1024
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


PAGE = resource.getpagesize()
# Checks of the pulse within `hang_timeout`.
CHECKS = 4
# Seconds for the stacks to be written.
DUMP_TIME = 0.5
