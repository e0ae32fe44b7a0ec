"""The options of the HTTP versions: fields of `HTTP1Settings` and `HTTP2Settings`."""

from __future__ import annotations

from .fields import Option

HTTP1_OPTIONS = {
    "max_buffer_size": Option(
        "--http1-buffer-size",
        "int",
        "Sets the maximum buffer size for HTTP/1 connections",
        env="HTTP1_BUFFER_SIZE",
        minimum=8192,
    ),
    "header_read_timeout": Option(
        "--http1-header-read-timeout",
        "int",
        "Sets a timeout (in milliseconds) to read headers",
        minimum=1,
        maximum=60_000,
    ),
    "keep_alive": Option("--http1-keep-alive", "flag", "Enables or disables HTTP/1 keep-alive"),
    "pipeline_flush": Option(
        "--http1-pipeline-flush", "flag", "Aggregates HTTP/1 flushes to better support pipelined responses"
    ),
}

HTTP2_OPTIONS = {
    "adaptive_window": Option(
        "--http2-adaptive-window", "flag", "Sets whether to use an adaptive flow control for HTTP2"
    ),
    "initial_connection_window_size": Option(
        "--http2-initial-connection-window-size",
        "int",
        "Sets the max connection-level flow control for HTTP2",
        minimum=1024,
        maximum=2**31 - 1,
    ),
    "initial_stream_window_size": Option(
        "--http2-initial-stream-window-size",
        "int",
        "Sets the `SETTINGS_INITIAL_WINDOW_SIZE` option for HTTP2 stream-level flow control",
        minimum=1024,
        maximum=2**31 - 1,
    ),
    "keep_alive_interval": Option(
        "--http2-keep-alive-interval",
        "int",
        "Sets an interval (in milliseconds) for HTTP2 Ping frames should be sent to keep a connection alive",
        minimum=1,
        maximum=60_000,
    ),
    "keep_alive_timeout": Option(
        "--http2-keep-alive-timeout",
        "duration",
        "Sets a timeout (in seconds or a human-readable duration) for receiving an acknowledgement of the "
        "HTTP2 keep-alive ping",
        minimum=1,
    ),
    "max_concurrent_streams": Option(
        "--http2-max-concurrent-streams",
        "int",
        "Sets the SETTINGS_MAX_CONCURRENT_STREAMS option for HTTP2 connections",
        minimum=10,
        maximum=2**31 - 1,
    ),
    "max_frame_size": Option(
        "--http2-max-frame-size",
        "int",
        "Sets the maximum frame size to use for HTTP2",
        minimum=16_384,
        maximum=2**24 - 1,
    ),
    "max_headers_size": Option(
        "--http2-max-headers-size", "int", "Sets the max size of received header frames", minimum=1
    ),
    "max_send_buffer_size": Option(
        "--http2-max-send-buffer-size",
        "int",
        "Set the maximum write buffer size for each HTTP/2 stream",
        minimum=1024,
    ),
}
