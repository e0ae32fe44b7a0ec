"""The options of the HTTP versions: the fields of `HTTP1Settings` and `HTTP2Settings`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..http import HTTP1Settings, HTTP2Settings
from .fields import Option
from .kinds import Flag, Milliseconds, Number, Seconds

HTTP1_OPTIONS = {
    "max_buffer_size": Option("--http1-buffer-size", Number(8192, unit="bytes"), "Largest head of a request"),
    "header_read_timeout": Option(
        "--http1-header-read-timeout",
        Milliseconds(1, 60_000),
        "Time to receive a request's head",
    ),
    "keep_alive": Option("--http1-keep-alive", Flag(), "Keep HTTP/1 connections open between requests"),
    "pipeline_flush": Option(
        "--http1-pipeline-flush", Flag(), "Without effect: pipelined responses that are ready leave together anyway"
    ),
}

HTTP2_OPTIONS = {
    "adaptive_window": Option("--http2-adaptive-window", Flag(), "Adapt the flow control to the connection"),
    "initial_connection_window_size": Option(
        "--http2-initial-connection-window-size",
        Number(1024, 2**31 - 1, is_hard=True, unit="bytes"),
        "Flow control window of a connection",
    ),
    "initial_stream_window_size": Option(
        "--http2-initial-stream-window-size",
        Number(1024, 2**31 - 1, is_hard=True, unit="bytes"),
        "Flow control window of a stream",
    ),
    "keep_alive_interval": Option(
        "--http2-keep-alive-interval", Number(1, 60_000, unit="ms"), "Interval between pings", default_text="disabled"
    ),
    "keep_alive_timeout": Option("--http2-keep-alive-timeout", Seconds(1), "Time for the answer to a ping"),
    "idle_timeout": Option(
        "--http2-idle-timeout", Seconds(1, least=0.001), "Time that an idle HTTP/2 connection is kept", since="3.0"
    ),
    "max_concurrent_streams": Option(
        "--http2-max-concurrent-streams",
        Number(10, 2**32 - 1, is_hard=True, least=1),
        "Streams at once in a connection",
    ),
    # "The value advertised by an endpoint MUST be between this initial value and the maximum allowed
    # frame size (2^24-1 or 16,777,215 octets), inclusive."
    # <https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2>
    "max_frame_size": Option(
        "--http2-max-frame-size", Number(2**14, 2**24 - 1, is_hard=True, unit="bytes"), "Largest frame to receive"
    ),
    "max_headers_size": Option(
        "--http2-max-headers-size", Number(1, unit="bytes"), "Largest list of headers to receive"
    ),
    "max_send_buffer_size": Option(
        "--http2-max-send-buffer-size", Number(1024, least=1, unit="bytes"), "Write buffer of a stream"
    ),
    "upgrade": Option("--http2-upgrade", Flag(), "Upgrade HTTP/1.1 connections that ask for it (Upgrade: h2c)"),
}


def protocol_options() -> Iterator[tuple[str, Option, Any]]:
    """The options of both versions: `http1_*` and `http2_*`, with their defaults."""
    for prefix, group, settings in _GROUPS:
        for name, option in group.items():
            yield f"{prefix}_{name}", option, getattr(settings, name)


def value_of(config: Any, name: str) -> Any:
    """The value of an option of a config, of those of both versions too."""
    version, _, setting = name.partition("_")
    return getattr(getattr(config, f"{version}_settings"), setting) if version in GROUPS else getattr(config, name)


def converted_settings(settings: Any) -> Any:
    """A copy with converted values; raises `ValueError`."""
    for _, group, known in _GROUPS:
        if isinstance(settings, type(known)):
            values = {name: getattr(settings, name) for name in group}
            return type(settings)(**{name: _converted(name, group[name], value) for name, value in values.items()})
    raise ValueError(f"{settings!r} are no settings of an HTTP version")


def _converted(name: str, option: Option, value: Any) -> Any:
    if value is None:
        return None
    try:
        return option.convert(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


_GROUPS: tuple[tuple[str, dict[str, Option], Any], ...] = (
    ("http1", HTTP1_OPTIONS, HTTP1Settings()),
    ("http2", HTTP2_OPTIONS, HTTP2Settings()),
)
GROUPS = tuple(prefix for prefix, _, _ in _GROUPS)
