"""All workers of a service: those in the slots, and those that are leaving.

Owns the rules of replacing: a successor is ready before the old worker drains, one slot at a time; what
cannot start leaves the old worker serving and is tried again later and later.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..config import Config
from ..log import complain, logger
from ..sockets import Listeners
from .handle import Event, WorkerHandle
from .report import Boot, Command, Loader, Report
from .slot import Slot, SlotState
from .timers import Timer, Timers


@dataclass(frozen=True)
class Plan:
    """What every worker of the crew is started with."""

    config: Config
    listeners: Listeners
    launch: Callable[[Boot], WorkerHandle]
    drain_timeout: float
    title: str | None = None
    loader: Loader | None = None


class Crew:
    """Starts, replaces and retires workers; tells its supervisor what that comes to."""

    def __init__(self, plan: Plan, timers: Timers) -> None:
        self.slots: list[Slot] = []
        self.environment: dict[str, str] = {}
        # All first workers have been ready once.
        self.has_served = False
        self.on_complete: Callable[[], None] = lambda: None
        # A worker cannot start, or has died, and the service is to end for it.
        self.on_fatal: Callable[[], None] = lambda: None
        self.on_ready: Callable[[Slot, WorkerHandle], None] = lambda slot, worker: None
        self._plan = plan
        self._config = plan.config
        self._timers = timers
        self._leaving: dict[WorkerHandle, Timer] = {}
        self._queue: deque[Slot] = deque()

    # What there is.

    def workers(self) -> list[WorkerHandle]:
        return [*(worker for slot in self.slots for worker in slot.workers()), *self._leaving]

    def waitables(self) -> list[Any]:
        return [item for worker in self.workers() for item in worker.waitables()]

    def slot_of(self, worker: WorkerHandle) -> Slot | None:
        return next((slot for slot in self.slots if worker in slot.workers()), None)

    # What can be asked for.

    def grow(self, count: int = 1) -> None:
        """Adds slots and starts their workers.

        # Errors
        `OSError` if there can be no sockets for them.
        """
        self._plan.listeners.reserve(len(self.slots) + count)
        added = [Slot(len(self.slots) + number) for number in range(1, count + 1)]
        self.slots += added
        for slot in added:
            self._spawn(slot)

    def shrink(self) -> None:
        """Gives up the last slot; its connections in the queue go to another worker."""
        if len(self.slots) < 2:
            return
        slot = self.slots.pop()
        self._hand_over(slot)
        for worker in slot.close():
            self._retire(worker)
        # It may have been the one that others waited for.
        self._check_complete()
        self._advance()

    def replace_all(self) -> None:
        """Every worker makes room for a new one; what is just starting starts anew."""
        for slot in self.slots:
            slot.failures = 0
            dropped = slot.abandon()
            if dropped is not None:
                self._retire(dropped, within=ABANDONED)
            if not slot.is_serving():
                self._spawn(slot)
        self.replace(self.slots)

    def replace(self, slots: Iterable[Slot], reason: str | None = None) -> None:
        """Puts the slots in line for a new worker."""
        for slot in slots:
            if slot not in self._queue and slot.state is SlotState.SERVING:
                slot.reason = reason
                self._queue.append(slot)
        self._advance()

    def reload_tls(self) -> None:
        """New connections are secured with what is in the files now."""
        for slot in self.slots:
            for worker in slot.workers():
                worker.send(Command.RELOAD_TLS)

    def is_deaf(self) -> bool:
        """Nobody accepts any more: all have begun to drain."""
        return all(worker.is_draining for worker in self.workers())

    def stop(self) -> None:
        """Retires everybody."""
        self._queue.clear()
        for slot in self.slots:
            for worker in slot.close():
                self._retire(worker)

    def hurry(self) -> None:
        """Whoever is leaving leaves now."""
        for worker, timer in list(self._leaving.items()):
            worker.hurry()
            # Asked again and again, it is killed no later for that.
            if timer.when > time.monotonic() + HURRY:
                timer.cancel()
                self._leaving[worker] = self._timers.after(HURRY, partial(self._kill, worker))

    # What happens.

    def take_events(self) -> list[Event]:
        """What workers have said, and who has ended, since the last time."""
        found = []
        for worker in self.workers():
            # Asked first: what has ended says nothing more.
            ended = not worker.is_alive()
            found.append(Event(worker, [report for report, _ in worker.reports()], ended))
        return found

    def handle_events(self, events: Iterable[Event]) -> None:
        """Does what follows from them."""
        for event in events:
            for report in event.reports:
                self._handle_report(event.worker, report)
            if event.ended:
                self._handle_end(event.worker)

    def _handle_report(self, worker: WorkerHandle, report: Report) -> None:
        slot = self.slot_of(worker)
        if report is Report.DRAINING:
            return self._handle_draining(worker, slot)
        if slot is None:
            return
        if report is Report.READY and worker is slot.coming:
            logger.info("Started %s", worker.name)
            old = slot.promote()
            if old is not None:
                slot.failures = 0
                self._retire(old, old=True)
            self.on_ready(slot, worker)
            self._check_complete()
            self._advance()
        elif report is Report.SPENT and worker is slot.serving:
            self.replace([slot], f"{worker.name} has served its requests, gracefully respawning..")

    def _handle_draining(self, worker: WorkerHandle, slot: Slot | None) -> None:
        if slot is not None:
            # Nobody here has asked for it; it finishes what it has while another one starts.
            logger.error("Unexpected exit from %s: it was told to stop", worker.name)
            slot.lose(worker)
            self._leaving[worker] = self._timers.after(self._leave_time(), lambda: self._kill(worker))
            self._replace_lost(slot, worker)
        logger.info("Stopping %s", worker.full_name)

    def _handle_end(self, worker: WorkerHandle) -> None:
        code = worker.exit_code()
        worker.release()
        timer = self._leaving.pop(worker, None)
        slot = self.slot_of(worker)
        if timer is not None:
            timer.cancel()
            logger.info("Stopped %s", worker.full_name)
        elif slot is not None and worker.ready_at is None:
            slot.lose(worker)
            self._handle_failed_start(slot, worker, code)
        elif slot is not None:
            slot.lose(worker)
            self._handle_crash(slot, worker, code)

    def _handle_failed_start(self, slot: Slot, worker: WorkerHandle, code: int | None) -> None:
        reason = worker.failure or f"unexpected exit with code {code}"
        complain(f"{worker.name} could not start:{chr(10) if chr(10) in reason else ' '}{reason}")
        if self._config.reload:
            # The next change brings the next start.
            return self._advance()
        if not self.has_served:
            return self.on_fatal()
        self._retry(slot, slot.back_off())

    def _handle_crash(self, slot: Slot, worker: WorkerHandle, code: int | None) -> None:
        logger.error("Unexpected exit from %s (exit code %s)", worker.name, code)
        self._replace_lost(slot, worker)

    def _replace_lost(self, slot: Slot, worker: WorkerHandle) -> None:
        if not self._config.respawn_failed_workers:
            # A signal to the whole process group may be on its way here as well: that is no failure.
            self._timers.after(GROUP_SIGNAL, self.on_fatal)
            return
        self._hand_over(slot)
        if worker.ready_at is not None and time.monotonic() - worker.ready_at > LONG_LIFE:
            slot.failures = 0
        if slot.coming is None:
            wait = slot.back_off()
            # The first time costs nothing but the start of another worker.
            self._retry(slot, wait if slot.failures > 1 else 0.0)

    def _retry(self, slot: Slot, seconds: float) -> None:
        if not seconds:
            logger.info("Respawning %s", slot.name)
            return self._spawn(slot)
        logger.warning("Respawning %s in %.1f s, after %d failures in a row", slot.name, seconds, slot.failures)
        slot.wait(self._timers.after(seconds, lambda: self._spawn(slot)))

    def _check_complete(self) -> None:
        if self._queue or not all(slot.state is SlotState.SERVING for slot in self.slots):
            return
        self.has_served = True
        self.on_complete()

    def _advance(self) -> None:
        """Starts the next successor, unless one is on its way."""
        if any(slot.state in (SlotState.REPLACING, SlotState.RETRYING) for slot in self.slots):
            return
        while self._queue:
            slot = self._queue.popleft()
            if slot.state is SlotState.SERVING and slot in self.slots:
                if slot.reason is not None:
                    logger.info(slot.reason)
                logger.info("Respawning %s", slot.name)
                return self._spawn(slot)

    def _spawn(self, slot: Slot) -> None:
        config = self._config
        jitter = random.randint(0, config.max_requests_jitter or 0)
        boot = Boot(
            number=slot.number,
            config=config,
            drain_timeout=self._plan.drain_timeout,
            sockets=self._sockets_of(slot),
            redirects=self._plan.listeners.redirects(config.ssl_redirect_to_port),
            title=f"{self._plan.title} {slot.name}" if self._plan.title else None,
            request_limit=config.max_requests + jitter if config.max_requests else None,
            environment=self.environment,
            loader=self._plan.loader,
            supervisor=os.getpid(),
        )
        try:
            worker = self._plan.launch(boot)
        except OSError as error:
            logger.error("%s could not be spawned: %s", slot.name, error)
            return self._retry(slot, slot.back_off())
        slot.boot(worker)
        logger.info(worker.spawn_line)

    def _sockets_of(self, slot: Slot) -> dict[int, socket.socket]:
        """The slot's sockets; the first slot also has those that no slot has any more."""
        listeners = self._plan.listeners
        sockets = listeners.sockets(slot.number - 1)
        if slot.number == 1:
            for number in range(len(self.slots), listeners.slots):
                sockets |= listeners.sockets(number)
        return sockets

    def _hand_over(self, slot: Slot) -> None:
        """Another worker accepts what waits in the queue of a slot that nobody serves."""
        heirs = [other.serving for other in self.slots if other is not slot and other.serving is not None]
        for position, listener in self._plan.listeners.own(slot.number - 1).items():
            if heirs:
                heirs[0].listen(position, listener)

    def _retire(self, worker: WorkerHandle, old: bool = False, within: float | None = None) -> None:
        worker.retire(old)
        if worker.ready_at is None:
            # One that serves says so itself, once it accepts no more.
            logger.info("Stopping %s", worker.full_name)
        within = self._leave_time() if within is None else within
        self._leaving[worker] = self._timers.after(within, lambda: self._kill(worker))
        worker.stop()

    def _leave_time(self) -> float:
        """Seconds until a worker that leaves is killed."""
        own = self._plan.drain_timeout + KILL_GRACE
        return min(own, self._config.workers_kill_timeout or own)

    def _kill(self, worker: WorkerHandle) -> None:
        logger.warning("Killing %s after it refused to gracefully stop", worker.full_name)
        worker.kill()
        # A thread that is left behind makes nothing readable: somebody has to look.
        self._timers.after(0, lambda: None)


# A worker that has lived so long did not fail at its start.
LONG_LIFE = 10.0
# Workers leave by themselves a moment before.
KILL_GRACE = 0.95
ABANDONED = 2.0
HURRY = 0.7
# Between a signal's arrival at one process of a group and at another.
GROUP_SIGNAL = 0.2
