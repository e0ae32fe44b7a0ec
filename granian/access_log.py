"""The access log: the atoms of its format, and the way of its lines.

The core writes lines by itself to a file or the standard output. Where a program has given the logger `granian.access`
handlers of its own, a thread hands them records; neither way takes the event loop's time.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._granian import is_plain_format
from .console import Console
from .errors import ConfigurationError
from .formatters import JsonFormatter, LogFormats, escaped

if TYPE_CHECKING:
    from ._granian import AccessRecords
    from .config import Config

DATE_FORMAT = "%Y-%m-%d %H:%M:%S %z"
DEFAULT_ACCESSLOG_FMT = '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f'

access_logger = logging.getLogger("granian.access")
_server_logger = logging.getLogger("_granian")

Headers = list[tuple[bytes, bytes]]
# Address, method, decoded path, query string, scheme, protocol, status, seconds, bytes of the body, headers; and a
# mapping of all other atoms with the answer's `response_headers`.
AccessLog = Callable[..., None]


@dataclass(frozen=True)
class AccessLogOptions:
    """What the core reads of the access log."""

    template: str
    is_json: bool
    # The file that lines are written to, or else the descriptor. Without either, Python's handlers get records.
    path: Path | None
    descriptor: int | None
    exclude: list[str]
    sample: float
    # The worker's number.
    worker: int

    @classmethod
    def from_config(cls, config: Config, worker: int) -> AccessLogOptions | None:
        """The options of one worker; `None` without an access log.

        # Errors
        `ConfigurationError` if the format names what there is not.
        """
        if not config.log_access:
            return None
        is_json = config.log_format == LogFormats.json
        template = template_of(config.log_access_format, is_json)
        # An application that configures logging by a dictionary disables the loggers that are not in it.
        access_logger.disabled = False
        return cls(
            template=template,
            is_json=is_json,
            path=config.access_log_file,
            descriptor=_descriptor() if is_plain_format(template) else None,
            exclude=list(config.access_log_exclude),
            sample=config.access_log_sample,
            worker=worker,
        )


class RecordThread(threading.Thread):
    """Hands records to the handlers of the access log until there are no more."""

    def __init__(self, records: AccessRecords, template: str) -> None:
        super().__init__(name="granian-access-log", daemon=True)
        self._records = records
        self._log = log_request_builder(template)

    def run(self) -> None:
        while (taken := self._records.take()) is not None:
            records, lost = taken
            for request, answer, headers, more in records:
                try:
                    self._log(*request, *answer, headers, more)
                except Exception:
                    # Of a filter or a handler: it costs its line, not all that follow.
                    _server_logger.exception("A line of the access log was lost")
            if lost:
                access_logger.warning("%d lines of the access log found no room", lost)


def log_request_builder(fmt: str | None) -> AccessLog:
    """The function that writes a line about a request.

    # Errors
    `ConfigurationError` if the format names what there is not.
    """
    template = fmt or DEFAULT_ACCESSLOG_FMT
    named = check_format(template)
    # An application that configures logging by a dictionary disables the loggers that are not in it.
    access_logger.disabled = False
    clock = Clock()

    def log_request(*facts: Any) -> None:
        if not access_logger.isEnabledFor(logging.INFO):
            return
        addr, method, path, query_string, scheme, protocol, status, seconds, body_bytes, headers = facts[:10]
        more: Mapping[str, Any] = facts[10] if len(facts) > len(PLAIN_FACTS) else {}
        atoms = {
            **SAMPLE,
            **{name: _told(value) for name, value in more.items() if name in SAMPLE},
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
        for atom in named:
            kind, _, name = atom.partition("{")
            fields = headers if kind == "header" else more.get("response_headers", [])
            atoms[atom] = _header(fields, name[:-1].strip().lower().encode("latin-1", "replace"))
        access_logger.info(template, atoms)

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
            text = time.strftime(DATE_FORMAT, time.localtime(now))
            self._last = (now, text)
        return text


class Sample(dict[str, Any]):
    """Atoms of a request that there never was; collects the headers that a format asks for."""

    def __init__(self) -> None:
        super().__init__(SAMPLE)
        self.header_atoms: list[str] = []

    def __missing__(self, atom: str) -> str:
        kind, _, name = atom.partition("{")
        if kind not in ("header", "response_header") or not name.endswith("}") or not name[:-1].strip():
            raise KeyError(atom)
        self.header_atoms.append(atom)
        return "-"


def check_format(template: str) -> list[str]:
    """The atoms of the format that are headers.

    # Errors
    `ConfigurationError` if the format names what there is not.
    """
    sample = Sample()
    try:
        _ = template % sample
    except KeyError as error:
        known = ", ".join([*SAMPLE, "header{NAME}", "response_header{NAME}"])
        raise ConfigurationError("log_access_format", f"there is no atom {error.args[0]!r}, but {known}") from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError("log_access_format", f"{template!r}: {error}") from None
    return sample.header_atoms


def template_of(fmt: str | None, is_json: bool) -> str:
    """The format in use; JSON has all atoms by default, but for the query, which may hold secrets."""
    template = fmt or (DEFAULT_JSON if is_json else DEFAULT_ACCESSLOG_FMT)
    check_format(template)
    return template


def check_file(path: Path, template: str) -> None:
    """Opens the file once.

    # Errors
    `ConfigurationError` if that fails, or if lines of the format cannot be written to files.
    """
    if not is_plain_format(template):
        raise ConfigurationError("log_access_format", f"{template!r}: a file's has the conversions s, d and f only")
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise ConfigurationError("access_log_file", f"{path}: {error.strerror}") from None


def _descriptor() -> int | None:
    """The descriptor behind the logger, if it has the server's own handler alone, and nothing else hears of it."""
    handlers = access_logger.handlers
    if len(handlers) != 1 or type(handlers[0]) is not Console or not access_logger.isEnabledFor(logging.INFO):
        return None
    handler, formatter = handlers[0], handlers[0].formatter
    is_bare = type(formatter) is JsonFormatter or getattr(formatter, "_fmt", None) == "%(message)s"
    if access_logger.propagate or access_logger.filters or handler.filters or handler.level or not is_bare:
        return None
    stream = handler.stream
    if not isinstance(stream, io.TextIOWrapper) or stream.encoding.lower().replace("-", "") != "utf8":
        return None
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _header(headers: Headers, wanted: bytes) -> str:
    values = [value.decode("latin-1") for name, value in headers if name.lower() == wanted and value]
    return escaped(", ".join(values)) or "-"


def _told(value: Any) -> Any:
    if value is None:
        return "-"
    return escaped(value) if isinstance(value, str) else value


PLAIN_FACTS = range(10)
# An atom's value tells its type.
SAMPLE: dict[str, Any] = {
    "addr": "-",
    "time": "",
    "dt_ms": 0.0,
    "status": 0,
    "path": "",
    "query_string": "",
    "method": "",
    "scheme": "",
    "protocol": "",
    "body_bytes": 0,
    "request_bytes": 0,
    "ttfb_ms": 0.0,
    "wait_ms": 0.0,
    "tls": "-",
    "connection": "-",
    "request_id": "-",
    "reason": "-",
    "close_code": "-",
    "worker": 0,
    "pid": 0,
}
DEFAULT_JSON = " ".join(f"%({atom})s" for atom in SAMPLE if atom != "query_string")
