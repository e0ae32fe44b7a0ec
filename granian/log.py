"""Logging: the server's own log, and the access log with a line per request."""

from __future__ import annotations

import io
import logging
import logging.config
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from .console import Console
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

_DATE_FORMAT = "%Y-%m-%d %H:%M:%S %z"

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "generic": {
            "()": "granian.log.Formatter",
            "fmt": "[%(levelname)s] %(message)s",
            "datefmt": f"[{_DATE_FORMAT}]",
        },
        "access": {"()": "logging.Formatter", "fmt": "%(message)s", "datefmt": f"[{_DATE_FORMAT}]"},
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
DEFAULT_ACCESSLOG_FMT = '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f'

logger = logging.getLogger("_granian")
access_logger = logging.getLogger("granian.access")

Headers = list[tuple[bytes, bytes]]
# Address, method, decoded path, query string, scheme, protocol, status, seconds, bytes of the body, headers. A function
# with the attribute `wanted` gets the headers of those names only.
AccessLog = Callable[[str, str, str, str, str, str, int, float, int, Headers], None]


class Formatter(logging.Formatter):
    """Formats records for people's eyes: what would command a terminal is escaped, in tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or the lines where the record has several."""
        text = super().format(record)
        return text if text.isprintable() else "".join(map(_shown, text))


def configure_logging(level: LogLevels | str, config: dict[str, Any] | None = None, enabled: bool = True) -> None:
    """Sets up the loggers of the server; may be called again.

    `config`, a `logging.config` dictionary, is applied on top of the defaults and left as it was. Without one,
    nobody else's loggers and handlers are touched; with one, `logging` closes all handlers that there are.

    # Errors
    `ConfigurationError` if logging does not take it.
    """
    try:
        number = log_levels_map[LogLevels(level)] if enabled else logging.CRITICAL + 1
        if config or LOGGING_CONFIG != _PRISTINE:
            merged = _merged(LOGGING_CONFIG, config or {})
            merged["loggers"]["_granian"]["level"] = number
            logging.config.dictConfig(merged)
        else:
            _set_up(logger, "generic", number)
            _set_up(access_logger, "access", logging.INFO)
        for handler in {*logger.handlers, *access_logger.handlers}:
            _keep_lines(handler)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        reason = f"{error}: {error.__cause__}" if error.__cause__ is not None else str(error)
        raise ConfigurationError("log_dictconfig", reason) from None


def log_app_exception(exception: BaseException) -> None:
    """Logs what an application has raised, with its traceback."""
    # An application that configures logging by a dictionary disables the loggers that are not in it.
    logger.disabled = False
    logger.error("Application callable raised an exception", exc_info=exception)


def log_request_builder(fmt: str | None) -> AccessLog:
    """The function that writes a line about a request.

    # Errors
    `ConfigurationError` if the format names what there is not.
    """
    template = fmt or DEFAULT_ACCESSLOG_FMT
    header_atoms = {atom: _header_name(atom) for atom in _check(template)}
    # An application that configures logging by a dictionary disables the loggers that are not in it.
    access_logger.disabled = False
    clock = Clock()

    def log_request(*facts: Any) -> None:
        if not access_logger.isEnabledFor(logging.INFO):
            return
        addr, method, path, query_string, scheme, protocol, status, seconds, body_bytes, headers = facts
        atoms = {
            "addr": escaped(addr) or "-",
            "time": clock.text(),
            "dt_ms": seconds * 1000,
            "status": status,
            "path": escaped(path),
            "query_string": escaped(query_string),
            "method": escaped(method),
            "scheme": scheme,
            "protocol": protocol,
            "body_bytes": body_bytes,
        }
        for atom, name in header_atoms.items():
            atoms[atom] = _header(headers, name)
        access_logger.info(template, atoms)

    # The core leaves the request's other headers out.
    log_request.__dict__["wanted"] = sorted({name.decode("latin-1") for name in header_atoms.values()})
    return log_request


class Clock:
    """The time as the access log writes it, made once a second."""

    def __init__(self) -> None:
        # One tuple, so that no thread sees a second with the text of another one.
        self._last = (0, "")

    def text(self) -> str:
        now = int(time.time())
        second, text = self._last
        if second != now:
            text = time.strftime(_DATE_FORMAT, time.localtime(now))
            self._last = (now, text)
        return text


class Sample(dict[str, Any]):
    """Atoms of a request that there never was; collects the headers that a format asks for."""

    def __init__(self) -> None:
        super().__init__(_SAMPLE)
        self.header_atoms: list[str] = []

    def __missing__(self, atom: str) -> str:
        if not _header_name(atom):
            raise KeyError(atom)
        self.header_atoms.append(atom)
        return "-"


def _check(template: str) -> list[str]:
    """The atoms of the format that are headers."""
    sample = Sample()
    try:
        _ = template % sample
    except KeyError as error:
        known = ", ".join([*_SAMPLE, "header{NAME}"])
        raise ConfigurationError("log_access_format", f"there is no atom {error.args[0]!r}, but {known}") from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError("log_access_format", f"{template!r}: {error}") from None
    return sample.header_atoms


def _header_name(atom: str) -> bytes:
    """The name in `header{Name}`, as the core writes it."""
    if not atom.startswith("header{") or not atom.endswith("}"):
        return b""
    return atom[len("header{") : -1].strip().lower().encode("latin-1", "replace")


def _header(headers: Headers, wanted: bytes) -> str:
    values = [value.decode("latin-1") for name, value in headers if name.lower() == wanted and value]
    return escaped(", ".join(values)) or "-"


def escaped(text: str) -> str:
    r"""A value that comes from outside, as it may stand in a line of a log.

    Nobody forges a line or a field with it: `"` and `\` are behind a backslash, and characters that are not printable,
    such as line ends, terminals' commands and lone surrogates, are escapes of Python's (`\n`, `\x1b`, `\u2028`).
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(_ESCAPES.get(char) or _shown(char) for char in text)


def _shown(char: str) -> str:
    return char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()


def _set_up(target: logging.Logger, formatter: str, level: int) -> None:
    """Sets up one logger as `LOGGING_CONFIG` has it."""
    handler = Console()
    facts = LOGGING_CONFIG["formatters"][formatter]
    kind = logging.Formatter if facts["()"] == "logging.Formatter" else Formatter
    handler.setFormatter(kind(facts["fmt"], facts["datefmt"]))
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
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
# Keys that make a formatter, handler or logger complete.
COMPLETE = frozenset({"()", "class", "format", "handlers"})
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
