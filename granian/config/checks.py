"""From the keywords of `Granian` to a `Config`: conversions, bounds, and options that exclude each other."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from ..constants import Interfaces
from ..errors import ConfigurationError
from ..log import log_request_builder, logger
from .fields import Option

AnyConfig = TypeVar("AnyConfig")

# Options whose function this build does not have, with the value that means "not used".
UNAVAILABLE: dict[str, Any] = {
    "ssl_cert": None,
    "ssl_key": None,
    "ssl_ca": None,
    "static_path_mount": None,
    "metrics_enabled": False,
    "preload": False,
}


def checked(cls: type[AnyConfig], target: str, kwargs: dict[str, Any]) -> AnyConfig:
    """The config of `kwargs`; raises `ConfigurationError`."""
    if not target or not isinstance(target, str):
        raise ConfigurationError("target", "the application is missing, as in module:attribute")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name not in fields or name == "target":
            raise TypeError(f"unexpected option {name!r}")
        if value is None and fields[name].default not in (None, dataclasses.MISSING):
            value = fields[name].default
        values[name] = _convert(name, value, hints[name], fields[name].metadata.get("option"))
    config = cls(target=target, **_without_missing(values))
    _check_together(config)
    return config


def _without_missing(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None or not name.endswith("_settings")}


def _convert(name: str, value: Any, hint: Any, option: Option | None) -> Any:
    if value is None or option is None:
        return value
    if option.multiple:
        items = [value] if isinstance(value, (str, os.PathLike)) else list(value)
        convert = str if option.kind == "text" else _path
        return tuple(convert(item) for item in items) or None
    if option.choices is not None:
        return _choice(name, value, option.choices)
    if option.kind in ("path", "file", "directory", "existing"):
        return _path(value)
    if option.kind == "flag":
        return bool(value)
    if option.kind in ("int", "duration", "octal"):
        return _number(name, value, option)
    if option.kind == "text" and str in (hint, *get_args(hint)):
        return str(value)
    return value


def _choice(name: str, value: Any, choices: type[Enum]) -> Any:
    try:
        return choices(value)
    except ValueError:
        if name == "loop":
            return str(value)  # a loop that the application has registered
        known = ", ".join(str(member.value) for member in choices)
        raise ConfigurationError(name, f"{value!r} is none of {known}") from None


def _path(value: Any) -> Path:
    return Path(value).absolute()


def _number(name: str, value: Any, option: Option) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(name, f"{value!r} is not a whole number")
    if option.minimum is not None and value < option.minimum:
        if name in _CLAMPED:
            return option.minimum
        raise ConfigurationError(name, f"{value} is less than {option.minimum}")
    if option.maximum is not None and value > option.maximum:
        raise ConfigurationError(name, f"{value} is more than {option.maximum}")
    return value


def _check_together(config: Any) -> None:
    for name, unused in UNAVAILABLE.items():
        value = getattr(config, name)
        if value not in (unused if isinstance(unused, tuple) else (unused,)):
            raise ConfigurationError(name, "not available in this build")
    if (config.ssl_cert is None) != (config.ssl_key is None):
        missing = "ssl_key" if config.ssl_key is None else "ssl_cert"
        raise ConfigurationError(missing, "a certificate and its key are given together or not at all")
    if config.ssl_client_verify and config.ssl_ca is None:
        raise ConfigurationError("ssl_client_verify", "needs ssl_ca, the authorities to verify against")
    if config.interface not in (Interfaces.WSGI, Interfaces.AUTO) and (config.blocking_threads or 1) > 1:
        raise ConfigurationError("blocking_threads", "Blocking threads > 1 is not supported on ASGI and RSGI")
    if config.log_access:
        log_request_builder(config.log_access_format)
    if config.url_path_prefix and not config.url_path_prefix.startswith("/"):
        raise ConfigurationError("url_path_prefix", "must begin with a slash")
    if config.process_name and importlib.util.find_spec("setproctitle") is None:
        raise ConfigurationError("process_name", "Setting process name requires the granian[pname] extra")
    if config.env_files and importlib.util.find_spec("dotenv") is None:
        raise ConfigurationError("env_files", "Environment file(s) usage requires the granian[dotenv] extra")
    if config.reload and importlib.util.find_spec("watchfiles") is None:
        raise ConfigurationError("reload", "Using --reload requires the granian[reload] extra")
    _warn_about(config)


def _warn_about(config: Any) -> None:
    cores = os.cpu_count() or 1
    if config.workers > cores:
        logger.debug("More workers (%s) than CPU cores (%s)", config.workers, cores)
    if config.runtime_mode == "mt":
        logger.info("The I/O happens on the event loop's thread: runtime mode mt has no effect")


# Too small values of these were raised to the minimum and still are.
_CLAMPED = {"workers", "runtime_threads", "runtime_blocking_threads", "backlog", "backpressure"}
