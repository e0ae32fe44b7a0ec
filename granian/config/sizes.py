"""`sizes()`: sizes of buffers for processes that have little memory."""

from __future__ import annotations

from ..http import HTTP2Settings
from ..resources import memory
from .config import Config


def sizes() -> dict[str, int]:
    """The sizes to use unless given, by the names of the constructor; empty where memory is not short.

    Each is for one connection and grows to its default with the memory limit.
    """
    limit = memory()
    if limit is None or limit >= ENOUGH:
        return {}
    return {name: max(SMALLEST, default * limit // ENOUGH) for name, default in DEFAULTS.items()}


# Bytes of memory for the defaults, and the size that no option goes below: HTTP/2's own initial window.
ENOUGH = 512 << 20
SMALLEST = 65_536
DEFAULTS = {
    "ws_queue_size": Config.ws_queue_size,
    "http2_initial_connection_window_size": HTTP2Settings().initial_connection_window_size,
    "http2_initial_stream_window_size": HTTP2Settings().initial_stream_window_size,
    "http2_max_send_buffer_size": HTTP2Settings().max_send_buffer_size,
}
