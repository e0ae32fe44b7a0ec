"""Settings of the HTTP versions: `Granian(http1_settings=..., http2_settings=...)`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HTTP1Settings:
    """Of HTTP/1."""

    # For a request's head to come, and for a connection to stay idle (ms, from 1).
    header_read_timeout: int = 30_000
    # Whether a connection serves further requests.
    keep_alive: bool = True
    # Of the read buffer, which a request's head must fit (bytes, from 8192).
    max_buffer_size: int = 8192 + 4096 * 100
    # Whether the responses of pipelined requests are sent together.
    pipeline_flush: bool = False


@dataclass
class HTTP2Settings:
    """Of HTTP/2 (RFC 9113, 6.5.2)."""

    # Whether the flow control windows grow with what the path holds.
    adaptive_window: bool = False
    # Flow control windows (bytes, 1024 to 2**31 - 1).
    initial_connection_window_size: int = 1024 * 1024
    initial_stream_window_size: int = 1024 * 1024
    # Silence after which the peer is pinged (ms, from 1); None for never.
    keep_alive_interval: int | None = None
    # For the answer to a ping (s, from 1).
    keep_alive_timeout: int = 20
    # Requests at once on a connection (1 to 2**32 - 1).
    max_concurrent_streams: int = 200
    # Of frames to receive (bytes, 2**14 to 2**24 - 1).
    max_frame_size: int = 1024 * 16
    # Of a decoded header section (bytes, from 1); this default stands for 64 KiB.
    max_headers_size: int = 16 * 1024 * 1024
    # Of one response's bytes that wait in the codec.
    max_send_buffer_size: int = 1024 * 400
