"""`remark()`: the log's lines about options that were given and have no effect, and about odd combinations."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..constants import HTTPModes
from ..log import LogLevels, log_levels_map, logger
from ..resources import whole_cpus
from .fields import Option, options_of
from .protocols import protocol_options, value_of

if TYPE_CHECKING:
    from .config import Config

# Descriptors that a worker needs for anything but connections.
OWN_DESCRIPTORS = 64

# Options that were given, and how, by their names in the constructor; `None`: by keywords of Python code.
GIVEN: ContextVar[Mapping[str, str] | None] = ContextVar("GIVEN", default=None)


@contextmanager
def given(names: Mapping[str, str]) -> Iterator[None]:
    """Configs that are made meanwhile have these options given, by the flags, variables or keys that are the values."""
    token = GIVEN.set(names)
    try:
        yield
    finally:
        GIVEN.reset(token)


def remark(config: Config) -> None:
    """Logs each remark once, at its level."""

    def say(level: LogLevels, message: str, *arguments: Any) -> None:
        number = log_levels_map[level]
        if config.log_enabled and number >= log_levels_map[config.log_level]:
            logger.log(number, message, *arguments)

    cores = whole_cpus()
    for count, what in ((config.workers, "workers"), (config.io_threads, "threads of connections")):
        if count > cores:
            say(LogLevels.warning, "%d %s are more than the %d CPUs that this process may use", count, what, cores)
    allowed = config.max_connections or config.backpressure or 0
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed and resource.RLIM_INFINITY != descriptors < allowed + OWN_DESCRIPTORS:
        bound = _name("max_connections" if config.max_connections else "backpressure")
        message = "a process may have %d descriptors (ulimit -n), too few for the %d connections of %s"
        say(LogLevels.warning, message, descriptors, allowed, bound)
    for name, option in _given(config):
        shown = _name(name)
        if option.idleness is not None:
            say(IDLE_LEVELS.get(name, LogLevels.info), "%s is without effect: %s", shown, option.idleness)
        elif (reason := _missing(name, config)) is not None:
            say(LogLevels.warning, "%s is without effect: %s", shown, reason)
        elif config.reload and name in ("workers_lifetime", "workers_max_rss"):
            say(LogLevels.info, "%s is without effect with %s", shown, _name("reload"))


def _given(config: Config) -> Iterator[tuple[str, Option]]:
    """Options that were given and differ from their defaults: plugins give all that there are."""
    names = GIVEN.get()
    for name, option, default in (*options_of(type(config)), *protocol_options()):
        if value_of(config, name) != default and (names is None or name in names):
            yield name, option


def _name(name: str) -> str:
    """The option as it was given."""
    names = GIVEN.get()
    if names is None and name.startswith(("http1_", "http2_")):
        version, _, setting = name.partition("_")
        return f"{version.upper()}Settings.{setting}"
    return (names or {}).get(name, name)


def _missing(name: str, config: Config) -> str | None:
    """The reason why an option says nothing beside the others."""
    if name == "uds_permissions" and config.uds is None and not any(one.startswith("unix:") for one in config.bind):
        return "there is no Unix socket"
    if name == "runtime_threads" and not config.io_threads:
        return f"{_flag('runtime_mode')} is not mt"
    if name.startswith("http2_") and config.http == HTTPModes.http1:
        return "HTTP/2 is off"
    for word, needed in NEEDS.items():
        is_meant = name.startswith(word.removesuffix("*")) if word.endswith("*") else name == word
        if is_meant and name != needed and getattr(config, needed) in OFF:
            # One that is on by default was turned off.
            is_on = type(config).__dataclass_fields__[needed].default not in OFF
            return f"{_flag(needed)} is {'off' if is_on else 'not given'}"
    return None


def _flag(name: str) -> str:
    """An option as whoever gives options would give it."""
    from .config import Config

    option: Option = Config.__dataclass_fields__[name].metadata["option"]
    return name if GIVEN.get() is None else option.flag


# Options, or their prefixes, and the one that they need. Where it matters for safety it is an error instead (`checks`).
NEEDS = {
    "rss_*": "workers_max_rss",
    "max_requests_jitter": "max_requests",
    "workers_lifetime_jitter": "workers_lifetime",
    "log_access_format": "log_access",
    "access_log_*": "log_access",
    "overload_*": "overload",
    "reload_*": "reload",
    "metrics_*": "metrics_enabled",
    "ssl_redirect_to_port": "ssl_redirect_port",
    "ssl_*": "ssl_cert",
    "static_path_*": "static_path_mount",
    "ws_*": "websockets",
}
# As granian 2 says it.
IDLE_LEVELS = {"task_impl": LogLevels.warning}
# Values of an option that is not used.
OFF = (None, False, (), "off")
