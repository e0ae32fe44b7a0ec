"""A server as Python code sees it: options, hooks, `serve()`, and the order of start and end.

`mp` and `mt` start workers as processes or threads; the supervisor replaces and stops them.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._loops import loops
from ..config import Config
from ..errors import ConfigurationError, FatalError, PidFileError
from ..importer import build_env_loader, load_target
from ..interfaces.fit import fitting_interface
from ..log import LogLevels, configure_logging, logger, wished_format
from ..metrics import Ledger
from ..sockets import Address, Kind, Listeners, Role, inherited_descriptors
from ..start_errors import SHORTAGES, describe, reason_of, tell
from ..status.address import bind_status, status_lines
from ..supervisor.core import Hooks, Supervisor
from ..supervisor.handle import WorkerHandle
from ..supervisor.health import resident_bytes
from ..supervisor.pidfile import PidFile
from ..supervisor.plan import Plan
from ..supervisor.signals import Interrupted, SignalWatch
from ..title import set_title
from ..worker.logfiles import keep_loggers
from ..worker.spec import Loader, WorkerSpec
from .compat import FormerNames
from .overrides import Overridable
from .screen import first_lines, open_line
from .surface import Surface, show_signature

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..config.keywords import Keywords


class AbstractServer(Overridable, Surface, FormerNames, ABC):
    """Options as keywords of the constructor, see docs/settings.md; every option is also an attribute."""

    WORKER_KIND = "process"

    def __init__(self, target: str, *arguments: Any, **options: Unpack[Keywords]) -> None:
        FormerNames.__init__(self)
        Overridable.__init__(self)
        self._supervisor: Supervisor | None = None
        # Before the configuration, which may have something to log.
        configure_logging(LogLevels.info, form=wished_format(options.get("log_format")))
        Surface.__init__(self, self._configure(target, arguments, dict(options)))
        self._apply_ssl_context()
        self.pid: int | None = None
        # Names of options in errors, where they are not those of the constructor.
        self.option_names: dict[str, str] = {}
        self._load_env = build_env_loader()
        config = self.config
        configure_logging(config.log_level, config.log_dictconfig, config.log_enabled, config.log_format)

    def serve(
        self,
        spawn_target: Callable[..., None] | None = None,
        target_loader: Callable[..., Any] | None = None,
        wrap_loader: bool = True,
    ) -> None:
        """Serves until it is told to stop.

        `target_loader` gives the application in the place of an import: it is called in every worker process (with
        threads or `preload`: once, here) with the target, or with `wrap_loader=False` without arguments.
        `spawn_target(spec, pipe, inherited)` takes the place of a worker process's main function: `spec` is a
        `granian.worker.spec.WorkerSpec`; reports to the supervisor and its commands go through the `pipe`, a
        `Connection`; the descriptors in `inherited` are to be closed.

        # Errors
        `FatalError`, after a line in the log, if there is nothing to serve with; `SystemExit(1)` if
        workers could not be kept running.
        """
        try:
            code = self._run(spawn_target, target_loader, wrap_loader)
        except (ConfigurationError, PidFileError) as error:
            self._log(error)
            raise
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
            message = f"The server cannot run: {reason_of(error)}"
            tell(message)
            raise FatalError(message) from error
        logger.info("Granian shutdown completed, see ya!")
        if code:
            sys.exit(code)

    def check_options(self, with_app: bool = False) -> None:
        """Checks what `serve()` would refuse; `with_app` imports the application too and checks its interface.

        # Errors
        `FatalError` as for `serve()`.
        """
        self._check()
        if self.config.loop not in loops:
            extra = f": pip install 'granian[{self.config.loop}]'" if self.config.loop in EXTRAS else "."
            raise ConfigurationError("loop", f"'{self.config.loop}' implementation not available{extra}")
        for text in self.config.bind or ():
            Address.parse(text)
        if with_app:
            app = self._load_here(None).load(self.config.target)
            try:
                fitting_interface(app, self.config.interface, self.config.target)
            except FatalError as error:
                tell(f"The application could not be loaded: {error}")
                raise

    def stop(self) -> None:
        """Ends `serve()`; from any thread."""
        self._interrupt(signal.SIGTERM)

    def reload(self) -> None:
        """Replaces the workers; from any thread."""
        self._interrupt(signal.SIGHUP)

    def _run(
        self, spawn_target: Callable[..., None] | None, target_loader: Callable[..., Any] | None, wrap_loader: bool
    ) -> int:
        self.pid = os.getpid()
        self.check_options()
        self._tell_overrides()
        loader = Loader(target_loader, wrap_loader) if target_loader is not None else None
        logger.info("Starting granian (main PID: %d)", self.pid)
        pid_file = PidFile(Path(self.config.pid_file)) if self.config.pid_file is not None else None
        with SignalWatch() as signals:
            if pid_file is not None:
                pid_file.write()
            try:
                return self._serve(spawn_target, loader, signals)
            finally:
                if pid_file is not None:
                    pid_file.remove()

    def _log(self, error: FatalError) -> None:
        if error.is_logged:
            return
        error.is_logged = True
        if not isinstance(error, ConfigurationError):
            logger.error("%s", error)
        elif error.message is not None:
            logger.error("%s: %s", self.option_names.get(error.option, error.option), error.message)

    @abstractmethod
    def _launcher(self, spawn_target: Callable[..., None] | None) -> Callable[[WorkerSpec], WorkerHandle]:
        """The function that starts a worker."""

    def _check(self) -> None:
        """Refuses options that this kind of server does not have."""

    def _make_loader(self, loader: Loader | None) -> Loader | None:
        """The loader of the application for workers; `None` if they import the target."""
        return loader

    def _load_here(self, loader: Loader | None) -> Loader:
        """Loads the application in this process, once for all workers."""
        config = self.config
        self._load_environment()
        try:
            if loader is not None:
                app = loader.load(config.target)
            else:
                app = load_target(config.target, config.working_dir, config.factory)
        except (Exception, SystemExit) as error:
            keep_loggers()
            reason = describe(error)
            message = f"The application could not be loaded:{NEWLINE if NEWLINE in reason else ' '}{reason}"
            tell(message)
            raise FatalError(message) from error
        keep_loggers()
        return Loader(lambda: app, with_target=False)

    def _configure(self, target: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Config:
        named = dict(zip(POSITIONAL, arguments, strict=False))
        if len(arguments) > len(POSITIONAL) or named.keys() & options.keys():
            raise TypeError("too many positional arguments, or one that is also given by name")
        return Config.from_kwargs(target=target, **named, **options)

    def _serve(self, spawn_target: Callable[..., None] | None, loader: Loader | None, signals: SignalWatch) -> int:
        config = self.config
        # Before the application is loaded here: it may change the working directory.
        addresses = addresses_of(config, self._shared_descriptor())
        try:
            with signals.interrupting():
                loader = self._make_loader(loader)
        except Interrupted:
            logger.info("Shutting down granian")
            return 0
        listeners = Listeners.open(
            addresses, slots=config.workers, backlog=config.backlog, permissions=config.uds_permissions
        )
        scheme = "https" if config.ssl_cert is not None else "http"
        status: list[socket.socket] = []
        try:
            status = bind_status(config)
            title = self._set_title(listeners.urls(scheme))
            launch = self._launch_by_method(self._launcher, spawn_target)
            ledger = Ledger(resident_bytes, config.metrics_scrape_interval) if status else None
            plan = Plan(config, listeners, launch, config.drain_timeout_effective, title, loader, ledger, status)
            self._supervisor = Supervisor(plan, self._hooks(), signals)

            def before() -> None:
                lines = [*first_lines(config, self.WORKER_KIND), *listeners.announcements(scheme)]
                for line in [*lines, *status_lines(config, status), open_line(listeners.urls(scheme))]:
                    if line is not None:
                        logger.info("%s", line)

            code = self._supervisor.run(before, lambda: self.startup(spawn_target, loader))
            self.shutdown(code)
            return code
        finally:
            self._supervisor = None
            for item in status:
                item.close()
            listeners.close()

    def _load_environment(self) -> dict[str, str]:
        return self._load_env(self.config.env_files)

    def _hooks(self) -> Hooks:
        return Hooks(self._load_environment, self._run_reload_hooks, self._handle_interrupt, self._handle_hangup)

    def _run_reload_hooks(self) -> None:
        for hook in self.hooks_reload:
            hook()

    def _set_title(self, urls: list[str]) -> str | None:
        config = self.config
        where = ",".join(url.partition("://")[2] for url in urls)
        title = config.process_name or f"granian {config.interface} {where} {config.target}"
        set_title(title)
        return title

    def _interrupt(self, signum: signal.Signals) -> None:
        if self._supervisor is None:
            raise RuntimeError("the server does not serve")
        self._supervisor.interrupt(signum)


def addresses_of(config: Config, shared: int | None = None) -> list[Address]:
    """The addresses: passed descriptors, else the socket file, else host and port; then `bind` and the redirect port.

    `shared` is the descriptor of a socket that takes the place of all but the last two.

    A host and port that equal the default count as not given, even if they were: beside `bind` they are left out. To
    have both, name both in `bind`.
    """
    named = [Address.parse(text) for text in config.bind or ()]
    found = [Address(Kind.FD, fd=fd) for fd in (inherited_descriptors() if shared is None else [shared])]
    if config.fd is not None and shared is None:
        found.append(Address(Kind.FD, fd=config.fd))
    if config.uds is not None and shared is None:
        found.append(Address.unix(config.uds))
    tcp = Address(Kind.TCP, host=config.address, port=config.port)
    is_default = (config.address, config.port) == (Config.address, Config.port)
    if not found and not (named and is_default):
        found.append(tcp)
    if config.ssl_redirect_port is not None:
        port, option = config.ssl_redirect_port, "ssl_redirect_port"
        named.append(Address(Kind.TCP, host=config.address, port=port, role=Role.REDIRECT, option=option))
    return found + named


NEWLINE = "\n"
# The order of the constructor.
POSITIONAL = tuple(field.name for field in dataclasses.fields(Config) if not field.kw_only)[1:]
show_signature(AbstractServer, POSITIONAL, lambda name: True)
# Event loops that are extras of this package.
EXTRAS = ("rloop", "uvloop")
# Granian 2's name of what the supervisor holds in its hands.
AbstractWorker = WorkerHandle
