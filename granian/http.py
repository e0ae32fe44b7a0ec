"""Settings of the HTTP versions: `Granian(http1_settings=..., http2_settings=...)`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HTTP1Settings:
    """Settings of HTTP/1. Each is also an option of the command line, `--http1-...`.

    header_read_timeout: milliseconds, from 1, default 30,000 (30 s). The time for a request's head to arrive.
    keep_alive: default true. Whether a connection serves further requests.
    max_buffer_size: bytes, from 8,192, default 417,792 (408 KiB). The largest head of a request; `--http1-buffer-size`.
    pipeline_flush: default false. Without effect: pipelined responses that are ready leave together anyway.

    A value that is out of range is a `ConfigurationError` of the server that gets the settings.
    """

    header_read_timeout: int = 30_000
    keep_alive: bool = True
    max_buffer_size: int = 8192 + 4096 * 100
    pipeline_flush: bool = False


@dataclass
class HTTP2Settings:
    """Settings of HTTP/2 (RFC 9113, 6.5.2). Each is also an option of the command line, `--http2-...`.

    adaptive_window: default false. Whether the flow control windows grow with the capacity of the path.
    initial_connection_window_size: bytes, 1,024 to 2**31 - 1, default 1 MiB. The flow control window of a connection.
    initial_stream_window_size: bytes, 1,024 to 2**31 - 1, default 1 MiB. The flow control window of each stream.
    keep_alive_interval: milliseconds, from 1, default `None` for never. Silence after which the peer is pinged.
    keep_alive_timeout: seconds, from 1, default 20. The time for the answer to a ping.
    idle_timeout: seconds, from 1, default 180. The time without input after which a connection without a request ends.
    max_concurrent_streams: 1 to 2**32 - 1, default 200. Requests at once on a connection.
    max_frame_size: bytes, 2**14 to 2**24 - 1, default 16 KiB. The largest frame to receive.
    max_headers_size: bytes, 1 to 2**32 - 1, default 64 KiB. The largest decoded header section.
    max_send_buffer_size: bytes, from 1, default 400 KiB. Bytes of one response that wait in the codec.
    upgrade: default false. Whether a request over HTTP/1.1 may turn its connection into one of HTTP/2 (`Upgrade: h2c`).

    A value that is out of range is a `ConfigurationError` of the server that gets the settings.
    """

    adaptive_window: bool = False
    initial_connection_window_size: int = 1024 * 1024
    initial_stream_window_size: int = 1024 * 1024
    keep_alive_interval: int | None = None
    keep_alive_timeout: int = 20
    idle_timeout: float = 180
    max_concurrent_streams: int = 200
    max_frame_size: int = 1024 * 16
    max_headers_size: int = 64 * 1024
    max_send_buffer_size: int = 1024 * 400
    upgrade: bool = False
