"""Settings of the HTTP versions: `Granian(http1_settings=..., http2_settings=...)`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HTTP1Settings:
    """Settings of HTTP/1."""

    # Time for a request's head to arrive, and time that an idle connection is kept (ms, from 1).
    header_read_timeout: int = 30_000
    # Whether a connection serves further requests.
    keep_alive: bool = True
    # Largest request head (bytes, from 8192).
    max_buffer_size: int = 8192 + 4096 * 100
    # Without effect: pipelined responses that are ready leave together anyway.
    pipeline_flush: bool = False


@dataclass
class HTTP2Settings:
    """Settings of HTTP/2 (RFC 9113, 6.5.2)."""

    # Whether the flow control windows grow with the capacity of the path.
    adaptive_window: bool = False
    # Flow control windows (bytes, 1024 to 2**31 - 1).
    initial_connection_window_size: int = 1024 * 1024
    initial_stream_window_size: int = 1024 * 1024
    # Silence after which the peer is pinged (ms, from 1); None for never.
    keep_alive_interval: int | None = None
    # Time for the answer to a ping (s, from 1).
    keep_alive_timeout: int = 20
    # Requests at once on a connection (1 to 2**32 - 1).
    max_concurrent_streams: int = 200
    # Largest frame to receive (bytes, 2**14 to 2**24 - 1).
    max_frame_size: int = 1024 * 16
    # Largest decoded header section (bytes, from 1). This default counts as 64 KiB.
    max_headers_size: int = 16 * 1024 * 1024
    # Bytes of one response that wait in the codec.
    max_send_buffer_size: int = 1024 * 400
