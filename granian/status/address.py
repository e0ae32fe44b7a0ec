"""The sockets of the status listener."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

from ..binding import Address, Kind, bind_tcp
from ..config import Config
from ..errors import ConfigurationError


def bind_status(config: Config) -> list[socket.socket]:
    """Listens at the address of the metrics; nothing without `metrics_enabled`.

    # Errors
    `ConfigurationError` if the address cannot be had.
    """
    if not config.metrics_enabled:
        return []
    address = Address(Kind.TCP, host=config.metrics_address, port=config.metrics_port)
    try:
        return bind_tcp(address, BACKLOG)
    except ConfigurationError as error:
        is_unknown = "resolved" in (error.message or "")
        raise ConfigurationError("metrics_address" if is_unknown else "metrics_port", error.message) from None


def status_urls(sockets: Sequence[socket.socket]) -> list[str]:
    """The URLs of the listener, without a path."""
    bound = [item.getsockname() for item in sockets]
    return [f"http://[{name[0]}]:{name[1]}" if ":" in name[0] else f"http://{name[0]}:{name[1]}" for name in bound]


def status_lines(config: Config, sockets: Sequence[socket.socket]) -> Iterator[str]:
    """Lines for the log: what is served where."""
    for url in status_urls(sockets):
        yield f"Metrics at: {url}/metrics"
        if is_local(sockets) or config.metrics_token is not None:
            yield f"Status page at: {url}/"


def is_local(sockets: Sequence[socket.socket]) -> bool:
    """Whether only this machine reaches them."""
    return all(ipaddress.ip_address(item.getsockname()[0].partition("%")[0]).is_loopback for item in sockets)


BACKLOG = 128
