"""Methods that subclasses written for granian 2 override, and when this server calls them.

A server calls them only where a subclass has its own; what they do here is what the server does anyway.
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from typing import Any

from ..config import Config
from ..errors import ConfigurationError
from ..log import logger
from ..supervisor.core import Supervisor
from ..supervisor.handle import WorkerHandle
from ..worker.child import run_worker
from ..worker.spec import Loader, WorkerSpec

Launch = Callable[[WorkerSpec], WorkerHandle]
MakeLaunch = Callable[[Callable[..., None] | None], Launch]


class Overridable:
    """Mixed into servers that have workers."""

    config: Config
    interrupt_signal: bool
    is_reload_flagged: bool
    _supervisor: Supervisor | None
    hooks_startup: list[Callable[[], Any]]
    hooks_shutdown: list[Callable[[], Any]]

    def __init__(self) -> None:
        # Set by an overriding `_init_shared_socket`: a socket, its descriptor, or what `SocketSpec.build()` gives.
        self._sso: Any = None
        self._sfd: int | None = None
        self._shd: Any = None
        # Starts the worker that `_spawn_worker` is called for.
        self._launch_now: Callable[[Any, Any], WorkerHandle] | None = None

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Runs the hooks of `on_startup`: the server listens, and no worker has been started yet."""
        for hook in self.hooks_startup:
            hook()

    def shutdown(self, exit_code: int = 0) -> None:
        """Runs the hooks of `on_shutdown`: all workers have ended, and the sockets are still open."""
        for hook in self.hooks_shutdown:
            hook()

    def _init_shared_socket(self) -> None:
        """Comes before anything is bound. The socket in `_sso`, `_sfd` or `_shd` takes the place of host and port."""

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> WorkerHandle:
        """Starts the worker number `idx`, from 0, and gives it; an override must give the same object.

        `target` is the main function of its process, `callback_loader` a function that loads the application, or
        `None` for an import. The `_watcher` of the worker is not called: the supervisor waits for its end itself.
        """
        if self._launch_now is None:
            raise RuntimeError("a worker is only started when the server asks for it")
        return self._launch_now(target, callback_loader)

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Ends the server; comes with SIGINT and SIGTERM, on the thread of `serve()`."""
        if self._supervisor is not None:
            self._supervisor.stop()

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """Replaces the workers; comes with SIGHUP, on the thread of `serve()`."""
        if self._supervisor is not None:
            self._supervisor.replace_workers()

    def build_ssl_context(self, *values: Any, **named: Any) -> None:
        """Takes certificate, key, password, oldest version, authorities, revocations, whether clients need one.

        The constructor calls it with its own options; an override may call it with others, or set `ssl_ctx`.
        """
        given = {**dict(zip(TLS_ARGUMENTS, values, strict=False)), **named}
        changed = {TLS_ARGUMENTS[name]: value for name, value in given.items()}
        known = {item.name: getattr(self.config, item.name) for item in dataclasses.fields(Config)}
        self.config = Config.from_kwargs(**{**known, **changed})

    # The server's side.

    def _overrides(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(Overridable, name)

    def _apply_ssl_context(self) -> None:
        if not self._overrides("build_ssl_context"):
            return
        self.build_ssl_context(*(getattr(self.config, option) for option in TLS_ARGUMENTS.values()))
        context = vars(self).pop("ssl_ctx", None)
        if context is not None:
            is_enabled, *values = context
            Overridable.build_ssl_context(self, *(values if is_enabled else [None, None, None]))

    def _shared_descriptor(self) -> int | None:
        """A copy of the socket that an overriding `_init_shared_socket` has made."""
        if not self._overrides("_init_shared_socket"):
            return None
        try:
            self._init_shared_socket()
        except OSError as error:
            raise ConfigurationError("_init_shared_socket", error.strerror or str(error)) from error
        if self._sso is not None:
            return os.dup(self._sso.fileno())
        descriptor = self._sfd if self._sfd is not None or self._shd is None else self._shd.get_fd()
        return None if descriptor is None else os.dup(descriptor)

    def _launch_by_method(self, make: MakeLaunch, spawn_target: Callable[..., None] | None) -> Launch:
        """The function that starts a worker, through an overriding `_spawn_worker`."""
        plain = make(spawn_target)
        if not self._overrides("_spawn_worker"):
            return plain
        own = spawn_target or run_worker

        def launch(spec: WorkerSpec) -> WorkerHandle:
            def now(target: Any, loader: Any) -> WorkerHandle:
                chosen = plain if target in (own, None) else make(target)
                if loader is not spec.loader and loader is not None:
                    return chosen(dataclasses.replace(spec, loader=Loader(loader, with_target=False)))
                return chosen(spec)

            self._launch_now = now
            try:
                worker: Any = self._spawn_worker(idx=spec.number - 1, target=own, callback_loader=spec.loader)
            finally:
                self._launch_now = None
            if not isinstance(worker, WorkerHandle):
                raise ConfigurationError("_spawn_worker", f"gives {worker!r} and not the worker of the server's own")
            return worker

        return launch

    def _handle_interrupt(self, signum: int) -> None:
        # The handler itself may ask for the stop by `interrupt_signal`, which comes back as a signal.
        if self.interrupt_signal or not self._overrides("signal_handler_interrupt"):
            return Overridable.signal_handler_interrupt(self)
        self.signal_handler_interrupt(signum, None)

    def _handle_hangup(self) -> None:
        if self.is_reload_flagged or not self._overrides("signal_handler_reload"):
            self.is_reload_flagged = False
            return Overridable.signal_handler_reload(self)
        self.signal_handler_reload(signal.SIGHUP, None)

    def _tell_overrides(self) -> None:
        """Warns of methods of a subclass that take the place of the server's own inner ones by their name."""
        own, methods = _own_methods(type(self))
        for kind, name in methods:
            if name.startswith("_") and not name.startswith("__") and name not in CALLED and hasattr(own, name):
                logger.warning(
                    "%s overrides %s, which is this server's own and may change: of the inner methods, only %s "
                    "are meant for that",
                    *(kind, name, ", ".join(CALLED)),
                )


def tell_uncalled(server: object) -> None:
    """Warns of methods of an embedded server's subclass that only servers with workers call."""
    for kind, name in _own_methods(type(server))[1]:
        if name in vars(Overridable) and not name.startswith("__"):
            logger.warning("%s overrides %s, which an embedded server does not call", kind, name)


def _own_methods(kind: type[Any]) -> tuple[type[Any], list[tuple[str, str]]]:
    """The class of this package that a subclass is made from, and the methods of the classes before it."""
    kinds = kind.__mro__
    own = next(each for each in kinds if each.__module__.startswith(PACKAGE))
    methods = [
        (each.__name__, name)
        for each in kinds[: kinds.index(own)]
        for name, value in vars(each).items()
        # `abc` puts data of its own into each class.
        if callable(value) or isinstance(value, (property, staticmethod, classmethod))
    ]
    return own, methods


PACKAGE = "granian."
# Inner methods that subclasses may override.
CALLED = ("_init_shared_socket", "_spawn_worker")
# The arguments of `build_ssl_context` and their options.
TLS_ARGUMENTS = {
    "cert": "ssl_cert",
    "key": "ssl_key",
    "password": "ssl_key_password",
    "proto": "ssl_protocol_min",
    "ca": "ssl_ca",
    "crl": "ssl_crl",
    "client_verify": "ssl_client_verify",
}

__all__ = ["Overridable", "tell_uncalled"]
