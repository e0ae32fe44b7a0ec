"""The parent's event loop: signals, workers, deadlines and file changes, one thing after another.

It waits for all of them at once and sleeps otherwise. What a signal means stands in `_handle_signal`.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import wait

from ..certificates import CertificateWatch
from ..config import Config
from ..errors import ConfigurationError
from ..log import escaped, logger
from ..metrics.families import Service
from ..status import Endpoints, StatusListener
from ..status.address import is_local
from ..systemd import Notifier
from ..worker.logfiles import reopen_log_files
from ..worker.report import Command
from .crew import Crew
from .handle import WorkerHandle
from .health import Health
from .plan import Plan
from .process import keep_from_workers
from .reload import FileWatch
from .signals import SignalWatch
from .slot import Slot
from .timers import Timers


class Phase(Enum):
    """The phase of the whole service."""

    RUNNING = "running"
    # It serves on and is not ready: balancers are to send their clients elsewhere before the stop.
    UNREADY = "unready"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Hooks:
    """Functions that the supervisor calls."""

    # Reads environment files again; gives what they set.
    load_environment: Callable[[], dict[str, str]]
    reload: Callable[[], None]
    # Called with SIGINT and SIGTERM in place of `Supervisor.stop`, and with SIGHUP of `replace_workers`.
    interrupted: Callable[[int], None] | None = None
    hung_up: Callable[[], None] | None = None


class Supervisor:
    """Keeps a crew of workers until it is told to stop."""

    def __init__(self, plan: Plan, hooks: Hooks, signals: SignalWatch) -> None:
        self.config: Config = plan.config
        self.timers = Timers()
        self.crew = Crew(plan, self.timers)
        self._hooks = hooks
        self._health = Health(plan.config, self.crew, self.timers)
        self._notifier = Notifier()
        self._signals = signals
        self._files: FileWatch | None = None
        self._certificates = CertificateWatch(plan.config)
        self._status: StatusListener | None = None
        if plan.ledger is not None and plan.status:
            endpoints = Endpoints(plan.config, plan.ledger, self._state, is_local(plan.status))
            endpoints.keep_readings(self.timers.after)
            self._status = StatusListener(plan.status, endpoints.answer, self.timers.after, keep_from_workers)
        self._phase = Phase.RUNNING
        self._exit_code = 0
        self.crew.on_complete = self._handle_complete
        self.crew.on_fatal = self._handle_fatal
        self.crew.on_ready = self._handle_ready

    def run(self, announce: Callable[[], None], before: Callable[[], None]) -> int:
        """Serves; gives the exit code. `announce` and then `before` run ahead of the first worker."""
        with self._signals:
            try:
                announce()
                self.crew.environment = self._hooks.load_environment()
                before()
                if self.config.reload:
                    self._files = FileWatch(self.config)
                self._health.start()
                self._watch_certificates()
                self.crew.grow(self.config.workers)
                self._beat()
                while self._phase is not Phase.STOPPING or self.crew.workers():
                    self._turn()
            except BaseException:
                self._abort()
                raise
            finally:
                if self._files is not None:
                    self._files.close()
                if self._status is not None:
                    self._status.close()
        return self._exit_code

    def stop(self, exit_code: int = 0) -> None:
        """Stops serving, after `shutdown_delay`; asked again, at once. On the supervisor's own thread."""
        if self._phase is Phase.STOPPING:
            return self.crew.hurry()
        self._notifier.stopping()
        if self._phase is Phase.RUNNING and self.config.shutdown_delay and not exit_code and self.crew.has_served:
            self._phase = Phase.UNREADY
            logger.info("Not ready any more, shutting down granian in %s s", self.config.shutdown_delay)
            self.crew.unready()
            self.timers.after(self.config.shutdown_delay, self._end_delay)
            return
        self._phase = Phase.STOPPING
        self._exit_code = exit_code
        logger.info("Shutting down granian")
        self.crew.stop()

    def _end_delay(self) -> None:
        if self._phase is Phase.UNREADY:
            self.stop()

    def replace_workers(self) -> None:
        """Replaces all workers. On the supervisor's own thread."""
        if self._phase is Phase.RUNNING:
            logger.info("HUP signal received, gracefully respawning workers..")
            self._reload()

    def interrupt(self, signum: int) -> None:
        """Acts on the signal soon; from any thread."""
        self._signals.wake(signum)

    def _turn(self) -> None:
        watched = [self._signals, *self.crew.waitables()]
        # Only while it is read as well: a readable pipe that is not read would keep this loop busy.
        if self._files is not None and self._files.pipe is not None and self._phase is Phase.RUNNING:
            watched.append(self._files.pipe)
        if self._status is not None:
            watched += self._status.waitables()
        wait(watched, self._patience())
        # Events are taken before signals and handled after them: a worker that has ended by a signal to the whole
        # process group (Ctrl-C, systemd) is then seen to have been asked to.
        events = self.crew.take_events()
        for signum in self._signals.read():
            self._handle_signal(signum)
        self.crew.handle_events(events)
        if self._files is not None and self._phase is Phase.RUNNING:
            changes = self._files.read()
            if changes:
                logger.info("Changes detected, reloading workers..")
                for change in changes:
                    logger.info("%s", escaped(change))
                self._reload()
        self.timers.run()
        if self._status is not None:
            self._status.turn()

    def _handle_signal(self, signum: int) -> None:
        if signum in (signal.SIGTERM, signal.SIGINT):
            return self.stop() if self._hooks.interrupted is None else self._hooks.interrupted(signum)
        match NAMES.get(signum):
            case "SIGUSR1":
                reopen_log_files()
                for worker in self.crew.workers():
                    worker.reopen_logs()
            case "SIGUSR2":
                if sys.__stderr__ is not None:
                    faulthandler.dump_traceback(sys.__stderr__)
                for worker in self.crew.workers():
                    worker.dump()
            case name if self._phase is Phase.RUNNING:
                self._handle_wish(name)

    def _handle_wish(self, name: str | None) -> None:
        """Acts on a signal that asks for other workers, while the service runs."""
        match name:
            case "SIGHUP":
                (self._hooks.hung_up or self.replace_workers)()
            case "SIGTTIN":
                self.crew.grow()
            case "SIGTTOU":
                self.crew.shrink()

    def _reload(self) -> None:
        if self.config.preload:
            logger.warning("The application is preloaded: new workers get the same one")
        self._notifier.reloading()
        try:
            self.crew.environment = self._hooks.load_environment()
        except ConfigurationError as error:
            logger.error("%s; the variables stay as they were", error.message)
        self._hooks.reload()
        self.crew.replace_all()

    def _watch_certificates(self) -> None:
        if not self._certificates.paths:
            return
        if self._phase is Phase.RUNNING and self._certificates.has_news():
            logger.info("Certificates have changed, reading them anew")
            self.crew.reload_tls()
        self.timers.after(CERTIFICATE_INTERVAL, self._watch_certificates)

    def _patience(self) -> float | None:
        """Seconds until this loop must look, if nothing happens."""
        left = self.timers.left()
        if self._signals.is_active:
            return left
        # Without handlers there is no SIGCHLD, and a child of the worker may keep its pipes open.
        return POLL if left is None else min(left, POLL)

    def _handle_ready(self, slot: Slot, worker: WorkerHandle) -> None:
        self._health.handle_ready(slot, worker)
        if self._phase is Phase.UNREADY:
            worker.send(Command.UNREADY)

    def _handle_fatal(self) -> None:
        if self._phase is not Phase.STOPPING:
            self.stop(1)

    def _handle_complete(self) -> None:
        """Every slot has a serving worker, and no replacement waits."""
        count = len(self.crew.slots)
        self._notifier.ready(f"Serving with {count} worker{'s' if count > 1 else ''}")

    def _beat(self) -> None:
        """Keeps systemd's watchdog quiet while this loop turns."""
        if self._notifier.watchdog_interval is not None:
            self._notifier.alive()
            self.timers.after(self._notifier.watchdog_interval, self._beat)

    def _state(self) -> Service:
        """The state of the service, for whoever looks at it from outside."""
        is_running = self._phase is Phase.RUNNING
        is_serving = any(slot.is_serving() for slot in self.crew.slots)
        return Service(is_running and self.crew.has_served and is_serving, not is_running)

    def _abort(self) -> None:
        """Ends every worker after an error in this loop."""
        for worker in self.crew.workers():
            worker.kill()
            worker.release()


# Certificates are renewed days before they expire.
CERTIFICATE_INTERVAL = 1.0
POLL = 0.5
# Every signal: a program may have handlers for others than those watched here.
NAMES = {item.value: item.name for item in signal.Signals}
