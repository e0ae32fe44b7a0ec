"""Logging: the server's own log, and the access log with a line per request."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Mapping
from enum import Enum
from typing import Any

from .access_log import DATE_FORMAT, DEFAULT_ACCESSLOG_FMT, access_logger, log_request_builder
from .console import Console
from .errors import ConfigurationError
from .formatters import Formatter, JsonFormatter, LogFormats, escaped


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
            "()": "granian.log.Formatter",
            "fmt": "%(asctime)s [%(origin)s] [%(levelname)s] %(message)s",
            "datefmt": f"[{DATE_FORMAT}]",
        },
        "access": {"()": "logging.Formatter", "fmt": "%(message)s", "datefmt": f"[{DATE_FORMAT}]"},
    },
    "handlers": {
        "console": {"formatter": "generic", "class": "granian.console.Console", "stream": "ext://sys.stdout"},
        "access": {"formatter": "access", "class": "granian.console.Console", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "_granian": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "granian.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}
logger = logging.getLogger("_granian")


def configure_logging(
    level: LogLevels | str,
    config: dict[str, Any] | None = None,
    enabled: bool = True,
    form: LogFormats | str = LogFormats.text,
) -> None:
    """Sets up the loggers of the server; may be called again.

    `form` is that of the lines, for the formatters that nobody replaces. `config`, a `logging.config` dictionary, is
    applied on top of the defaults and left as it was. Without one, nobody else's loggers and handlers are touched; with
    one, `logging` closes all handlers that there are.

    # Errors
    `ConfigurationError` if logging does not take it.
    """
    try:
        number = log_levels_map[LogLevels(level)] if enabled else logging.CRITICAL + 1
        if config or LOGGING_CONFIG != _PRISTINE:
            merged = _merged(_defaults(LogFormats(form)), config or {})
            merged["loggers"]["_granian"]["level"] = number
            logging.config.dictConfig(merged)
        else:
            _set_up(logger, "generic", number, LogFormats(form))
            _set_up(access_logger, "access", logging.INFO, LogFormats(form))
        for handler in {*logger.handlers, *access_logger.handlers}:
            _keep_lines(handler)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        reason = f"{error}: {error.__cause__}" if error.__cause__ is not None else str(error)
        raise ConfigurationError("log_dictconfig", reason) from None


def wished_format(value: Any) -> LogFormats:
    """The form that an option which was not checked yet asks for."""
    return LogFormats.json if value == LogFormats.json else LogFormats.text


def log_app_exception(exception: BaseException) -> None:
    """Logs what an application has raised, with its traceback."""
    # An application that configures logging by a dictionary disables the loggers that are not in it.
    logger.disabled = False
    logger.error("Application callable raised an exception", exc_info=exception)


def _defaults(form: LogFormats) -> dict[str, Any]:
    """`LOGGING_CONFIG` with the formatters of this form."""
    if form == LogFormats.text:
        return LOGGING_CONFIG
    return {**LOGGING_CONFIG, "formatters": {name: {"()": JSON_FORMATTER} for name in ("generic", "access")}}


def _set_up(target: logging.Logger, formatter: str, level: int, form: LogFormats) -> None:
    """Sets up one logger as `LOGGING_CONFIG` has it."""
    handler = Console()
    facts = LOGGING_CONFIG["formatters"][formatter]
    kind = logging.Formatter if facts["()"] == "logging.Formatter" else Formatter
    is_json = form == LogFormats.json
    handler.setFormatter(JsonFormatter() if is_json else kind(facts["fmt"], facts["datefmt"]))
    for former in [*target.handlers]:
        target.removeHandler(former)
    target.addHandler(handler)
    target.setLevel(level)
    target.propagate = False
    target.disabled = False


def _keep_lines(handler: logging.Handler) -> None:
    """Makes a log file of somebody's configuration take characters that its encoding does not have, as escapes."""
    if isinstance(handler, logging.FileHandler) and handler.errors in (None, "strict"):
        handler.errors = "backslashreplace"
        if isinstance(handler.stream, io.TextIOWrapper):
            handler.stream.reconfigure(errors=handler.errors)


def _merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
    """A copy of `base` with `extra` over it.

    An entry of `extra` that is complete by itself takes the place of one with the same name.
    """
    result = _copied(base)
    for key, value in extra.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), dict) and not COMPLETE & value.keys():
            result[key] = _merged(result[key], value)
        else:
            result[key] = _copied(value)
    return result


def _copied(value: Any) -> Any:
    """A copy of what holds values; the values themselves may be streams and functions."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [*map(_copied, value)] if isinstance(value, list) else value


# The dictionary as shipped: programs may change `LOGGING_CONFIG`, and `configure_logging` must notice.
_PRISTINE = _copied(LOGGING_CONFIG)
# Keys that make a formatter, handler or logger complete.
COMPLETE = frozenset({"()", "class", "format", "handlers"})
JSON_FORMATTER = "granian.formatters.JsonFormatter"

__all__ = [
    "DEFAULT_ACCESSLOG_FMT",
    "LOGGING_CONFIG",
    "Formatter",
    "JsonFormatter",
    "LogFormats",
    "LogLevels",
    "access_logger",
    "configure_logging",
    "escaped",
    "log_app_exception",
    "log_levels_map",
    "log_request_builder",
    "logger",
    "wished_format",
]
