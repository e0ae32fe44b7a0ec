"""`Http1Options`, `Http2Options`: the settings of both versions in the form that the core reads, under their names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..http import HTTP1Settings, HTTP2Settings
from .times import duration


@dataclass(frozen=True)
class Http1Options:
    """HTTP/1."""

    header_read_timeout: timedelta
    keep_alive: bool
    # bytes
    max_buffer_size: int

    @classmethod
    def from_settings(cls, settings: HTTP1Settings) -> Http1Options:
        """The group of these settings, whose timeout is in milliseconds."""
        return cls(
            header_read_timeout=duration(settings.header_read_timeout / 1000),
            keep_alive=settings.keep_alive,
            max_buffer_size=settings.max_buffer_size,
        )


@dataclass(frozen=True)
class Http2Options:
    """HTTP/2; sizes in bytes."""

    adaptive_window: bool
    initial_connection_window_size: int
    initial_stream_window_size: int
    # None: no pings.
    keep_alive_interval: timedelta | None
    keep_alive_timeout: timedelta
    idle_timeout: timedelta
    max_concurrent_streams: int
    max_frame_size: int
    max_headers_size: int
    max_send_buffer_size: int
    upgrade: bool

    @classmethod
    def from_settings(cls, settings: HTTP2Settings) -> Http2Options:
        """The group of these settings, whose interval is in milliseconds, and whose timeouts are in seconds."""
        interval = settings.keep_alive_interval
        return cls(
            adaptive_window=settings.adaptive_window,
            initial_connection_window_size=settings.initial_connection_window_size,
            initial_stream_window_size=settings.initial_stream_window_size,
            keep_alive_interval=None if interval is None else duration(interval / 1000),
            keep_alive_timeout=duration(settings.keep_alive_timeout),
            idle_timeout=duration(settings.idle_timeout),
            max_concurrent_streams=settings.max_concurrent_streams,
            max_frame_size=settings.max_frame_size,
            max_headers_size=min(settings.max_headers_size, 2**32 - 1),
            max_send_buffer_size=settings.max_send_buffer_size,
            upgrade=settings.upgrade,
        )
