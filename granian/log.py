"""Logging: the server's own log, and the access log's line from one record."""

from __future__ import annotations

import copy
import logging
import logging.config
import re
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from .errors import ConfigurationError


class LogLevels(str, Enum):
    """Levels of the server's log."""

    critical = "critical"
    error = "error"
    warning = "warning"
    warn = "warn"
    info = "info"
    debug = "debug"
    notset = "notset"


log_levels_map = {
    LogLevels.critical: logging.CRITICAL,
    LogLevels.error: logging.ERROR,
    LogLevels.warning: logging.WARNING,
    LogLevels.warn: logging.WARNING,
    LogLevels.info: logging.INFO,
    LogLevels.debug: logging.DEBUG,
    LogLevels.notset: logging.NOTSET,
}

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "generic": {
            "()": "logging.Formatter",
            "fmt": "[%(levelname)s] %(message)s",
            "datefmt": "[%Y-%m-%d %H:%M:%S %z]",
        },
        "access": {"()": "logging.Formatter", "fmt": "%(message)s", "datefmt": "[%Y-%m-%d %H:%M:%S %z]"},
    },
    "handlers": {
        "console": {"formatter": "generic", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
        "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "_granian": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "granian.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}
DEFAULT_ACCESSLOG_FMT = '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f'

logger = logging.getLogger("_granian")
access_logger = logging.getLogger("granian.access")

Headers = list[tuple[bytes, bytes]]
AccessLog = Callable[[str, str, str, str, str, str, int, float, int, Headers], None]


def configure_logging(
    level: LogLevels | str, config: dict[str, Any] | None = None, enabled: bool = True
) -> None:
    """Applies `config`, a `logging.config` dict, on top of the defaults; the caller's is not changed."""
    merged = _merge(copy.deepcopy(LOGGING_CONFIG), config or {})
    own = merged["loggers"].setdefault("_granian", {})
    own["level"] = log_levels_map[LogLevels(level)] if enabled else logging.CRITICAL + 1
    logging.config.dictConfig(merged)


def log_app_exception(exception: BaseException) -> None:
    """Logs what an application raised, with its traceback."""
    logger.error("Application callable raised an exception", exc_info=exception)


def log_request_builder(fmt: str | None) -> AccessLog:
    """The function that writes one line per request.

    It takes address, method, decoded path, query string, scheme, protocol, status, seconds, bytes of the
    body and the request's header fields.

    Raises `ConfigurationError` for an atom that there is not.
    """
    template = fmt or DEFAULT_ACCESSLOG_FMT
    names: dict[str, bytes] = {}

    def name_header(match: re.Match[str]) -> str:
        key = f"header_{len(names)}"
        names[key] = match.group(1).lower().encode("latin-1", "replace")
        return f"%({key})s"

    template = _HEADER_ATOM.sub(name_header, template)
    _check(template, names)
    zone_format = "%Y-%m-%d %H:%M:%S %z"

    def write(
        addr: str,
        method: str,
        path: str,
        query_string: str,
        scheme: str,
        protocol: str,
        status: int,
        duration: float,
        body_bytes: int,
        headers: Headers,
    ) -> None:
        atoms: dict[str, Any] = {
            "addr": addr,
            "time": time.strftime(zone_format),
            "dt_ms": duration * 1000,
            "status": status,
            "path": _escape(path),
            "query_string": _escape(query_string),
            "method": method,
            "scheme": scheme,
            "protocol": protocol,
            "body_bytes": body_bytes,
        }
        for key, name in names.items():
            atoms[key] = _header(headers, name)
        access_logger.info(template, atoms)

    return write


def _header(headers: Headers, wanted: bytes) -> str:
    for name, value in headers:
        if name == wanted and value:
            return _escape(value.decode("latin-1"))
    return "-"


def _escape(text: str) -> str:
    """Text on one line: control characters written as escapes, so that nobody forges a line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _check(template: str, names: dict[str, bytes]) -> None:
    sample = dict.fromkeys(names, "-") | _SAMPLE
    try:
        template % sample
    except KeyError as error:
        raise ConfigurationError("access_log_format", f"there is no atom {error.args[0]!r}") from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError("access_log_format", str(error)) from None


def _merge(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict) and key in _MERGED:
            base[key] = {**base[key], **value}
        else:
            base[key] = value
    return base


_HEADER_ATOM = re.compile(r"%\(header\{([^}]+)\}\)s")
_MERGED = {"formatters", "handlers", "loggers"}
_SAMPLE: dict[str, Any] = {
    "addr": "",
    "time": "",
    "dt_ms": 0.0,
    "status": 0,
    "path": "",
    "query_string": "",
    "method": "",
    "scheme": "",
    "protocol": "",
    "body_bytes": 0,
}
