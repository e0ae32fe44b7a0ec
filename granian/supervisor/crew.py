"""All workers of a service: those in the slots, and, in `leaving`, those on their way out.

Owns the rules of replacing: a successor is ready before the old worker drains, one slot at a time; what
cannot start leaves the old worker serving and is tried again later and later.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ..log import logger
from ..start_errors import reason_of, tell
from ..worker.report import Command, Report
from .handle import Event, WorkerHandle
from .leaving import Leaving
from .plan import Plan
from .queues import Queues
from .slot import Slot, SlotState
from .timers import Timers


class Crew:
    """Starts, replaces and retires workers; tells its supervisor what that comes to."""

    def __init__(self, plan: Plan, timers: Timers) -> None:
        self.slots: list[Slot] = []
        self.environment: dict[str, str] = {}
        # All first workers have been ready once.
        self.has_served = False
        self.on_complete: Callable[[], None] = lambda: None
        # Called when a worker cannot start, or has died, and the service must end for it.
        self.on_fatal: Callable[[], None] = lambda: None
        self.on_ready: Callable[[Slot, WorkerHandle], None] = lambda slot, worker: None
        self._plan = plan
        self._config = plan.config
        self._timers = timers
        self._leaving = Leaving(timers, plan.drain_timeout, plan.config.workers_kill_timeout)
        self._queues = Queues(plan.listeners)
        self._is_stopping = False
        self._queue: deque[Slot] = deque()

    # Queries.

    def workers(self) -> list[WorkerHandle]:
        return [*(worker for slot in self.slots for worker in slot.workers()), *self._leaving]

    def waitables(self) -> list[Any]:
        return [item for worker in self.workers() for item in worker.waitables()]

    def slot_of(self, worker: WorkerHandle) -> Slot | None:
        return next((slot for slot in self.slots if worker in slot.workers()), None)

    # Commands of the supervisor.

    def grow(self, count: int = 1) -> None:
        """Adds slots and starts their workers, if there are sockets to be had for them."""
        try:
            self._plan.listeners.reserve(len(self.slots) + count)
        except OSError as error:
            return logger.error("worker-%d could not be added: %s", len(self.slots) + count, reason_of(error))
        added = [Slot(len(self.slots) + number) for number in range(1, count + 1)]
        for slot in added:
            slot.cause = "added" if self.has_served else "start"
        self.slots += added
        # Clients come to their sockets from now on.
        self._share_queues()
        for slot in added:
            self._spawn(slot)

    def shrink(self) -> None:
        """Gives up the last slot; its connections in the queue go to another worker."""
        if len(self.slots) < 2:
            return
        slot = self.slots.pop()
        if slot in self._queue:
            self._queue.remove(slot)
        for worker in slot.close():
            self._retire(worker)
        # The others may have waited for this one.
        self._check_complete()
        self._share_queues()
        self._advance()

    def replace_all(self) -> None:
        """Replaces every worker; one that is starting is dropped and started anew."""
        for slot in self.slots:
            slot.failures = 0
            slot.cause = "reload"
            dropped = slot.abandon()
            if dropped is not None:
                self._retire(dropped, within=ABANDONED)
            if not slot.is_serving():
                self._spawn(slot)
        self.replace(self.slots)

    def replace(self, slots: Iterable[Slot], reason: str | None = None, cause: str = "reload") -> None:
        """Puts the slots in line for a new worker; `reason` is for the log, `cause` for the metrics."""
        for slot in slots:
            if slot not in self._queue and slot.state is SlotState.SERVING:
                slot.reason = reason
                slot.cause = cause
                self._queue.append(slot)
        self._advance()

    def reload_tls(self) -> None:
        """Makes every worker read the certificates again, for new connections."""
        for slot in self.slots:
            for worker in slot.workers():
                worker.send(Command.RELOAD_TLS)

    def stop(self) -> None:
        """Retires every worker."""
        self._is_stopping = True
        self._queue.clear()
        for slot in self.slots:
            for worker in slot.close():
                self._retire(worker)

    def unready(self) -> None:
        """Makes every worker say that it is not ready; they serve on."""
        for worker in self.workers():
            worker.send(Command.UNREADY)

    def hurry(self) -> None:
        """Ends the drain of every leaving worker."""
        self._leaving.hurry()

    def kill(self, worker: WorkerHandle) -> None:
        """Ends a worker, if it has not ended already."""
        if worker in self.workers():
            self._leaving.kill(worker)

    # Events.

    def take_events(self) -> list[Event]:
        """The reports of all workers since the last call, and which of them have ended."""
        found = []
        for worker in self.workers():
            # Asked before the pipe is read: after its end a worker writes nothing more.
            ended = not worker.is_alive()
            found.append(Event(worker, [report for report, _ in worker.reports()], ended))
        return found

    def handle_events(self, events: Iterable[Event]) -> None:
        """Acts on the events."""
        for event in events:
            for report in event.reports:
                self._handle_report(event.worker, report)
            if event.ended:
                self._handle_end(event.worker)
        if self._is_stopping and all(worker.is_draining for worker in self._leaving):
            # No worker accepts any more: a client in a queue would wait in vain.
            self._plan.listeners.refuse()

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
            self._share_queues()
            self._advance()
        elif report is Report.SPENT and worker is slot.serving:
            reason = f"{worker.name} has served its requests, gracefully respawning.."
            self.replace([slot], reason, "requests")

    def _handle_draining(self, worker: WorkerHandle, slot: Slot | None) -> None:
        if slot is not None:
            # It was not asked to stop. It finishes its requests while another one starts.
            logger.error("Unexpected exit from %s: %s", worker.name, worker.failure or "it was told to stop")
            slot.lose(worker)
            self._leaving.add(worker)
            # A signal to the whole process group may have reached the worker first.
            self._replace_lost(slot, worker, fatal_after=MOMENT)
        logger.info("Stopping %s", worker.full_name)

    def _handle_end(self, worker: WorkerHandle) -> None:
        code = worker.exit_code()
        worker.release()
        self._plan.forget(worker)
        slot = self.slot_of(worker)
        if self._leaving.remove(worker):
            logger.info("Stopped %s", worker.full_name)
        elif slot is not None and worker.ready_at is None:
            slot.lose(worker)
            self._handle_failed_start(slot, worker, code)
        elif slot is not None:
            logger.error("Unexpected exit from %s (exit code %s)", worker.name, code)
            slot.lose(worker)
            self._replace_lost(slot, worker)

    def _handle_failed_start(self, slot: Slot, worker: WorkerHandle, code: int | None) -> None:
        reason = worker.failure or f"unexpected exit with code {code}"
        tell(f"{worker.name} could not start:" + ("\n" if "\n" in reason else " ") + reason)
        if self._config.reload:
            # The next change brings the next start.
            return self._advance()
        if not self.has_served:
            return self.on_fatal()
        self._retry(slot, slot.back_off())

    def _replace_lost(self, slot: Slot, worker: WorkerHandle, fatal_after: float = 0.0) -> None:
        slot.cause = "error"
        if not self._config.respawn_failed_workers:
            self._timers.after(fatal_after, self.on_fatal)
            return
        self._share_queues()
        if worker.ready_at is not None and time.monotonic() - worker.ready_at > LONG_LIFE:
            slot.failures = 0
        if slot.coming is None:
            wait = slot.back_off()
            # The first loss costs nothing but the start of another worker.
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
        try:
            worker = self._plan.start(slot, self.environment)
        except OSError as error:
            tell(f"{slot.name} could not be spawned: {reason_of(error)}")
            if self.has_served:
                return self._retry(slot, slot.back_off())
            # What is short at the start is short for good. Other slots may be starting at this moment.
            self._timers.after(0, self.on_fatal)
            return
        slot.boot(worker)
        logger.info(worker.spawn_line)

    def _share_queues(self) -> None:
        # The first workers start together, and each accepts from its own queue when it is ready.
        if self.has_served:
            self._queues.share(self.slots)

    def _retire(self, worker: WorkerHandle, old: bool = False, within: float | None = None) -> None:
        worker.retire(old)
        if worker.ready_at is None:
            # A serving worker reports its stop itself, once it has stopped accepting.
            logger.info("Stopping %s", worker.full_name)
        self._leaving.add(worker, within)
        worker.stop()


# After this many seconds of life an end does not count as a failed start.
LONG_LIFE = 10.0
ABANDONED = 2.0
MOMENT = 0.1
