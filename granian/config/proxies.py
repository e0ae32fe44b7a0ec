"""`ProxyOptions`: the proxies in front, in the form that the core reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..constants import ForwardedHeaders

if TYPE_CHECKING:
    from .config import Config


@dataclass(frozen=True)
class ProxyOptions:
    """Attributes that the core reads by name."""

    # Addresses, networks, `unix` and `*`.
    forwarded_allow_ips: list[str]
    # Names of header fields, in lower case.
    forwarded_headers: list[str]
    # Connections begin with a header of the PROXY protocol.
    proxy_protocol: bool

    @classmethod
    def from_config(cls, config: Config) -> ProxyOptions | None:
        """The group, or `None` if no proxy is believed."""
        if not config.forwarded_allow_ips:
            return None
        return cls(
            forwarded_allow_ips=list(config.forwarded_allow_ips),
            forwarded_headers=[str(header) for header in config.forwarded_headers or ForwardedHeaders],
            proxy_protocol=config.proxy_protocol,
        )
