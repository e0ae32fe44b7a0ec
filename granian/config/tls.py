"""`TlsOptions`: the `ssl_*` options in the form that the core reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..constants import HTTPModes
from ..errors import ConfigurationError
from .times import duration

if TYPE_CHECKING:
    from .config import Config

ALPN = {HTTPModes.auto: ("h2", "http/1.1"), HTTPModes.http1: ("http/1.1",), HTTPModes.http2: ("h2",)}


@dataclass(frozen=True)
class TlsOptions:
    """Attributes that the core reads by name. The first certificate is the default, the others go by SNI."""

    # Chain, key, the key's password.
    certificates: list[tuple[Path, Path, str | None]]
    alpn: list[str]
    ca: Path | None
    crl: list[Path]
    client_verify: bool
    # The secret from which every worker derives the keys of session tickets.
    ticket_seed: bytes | None
    handshake_timeout: timedelta = timedelta(seconds=10)
    protocol_min: str = "tls1.3"
    protocol_max: str = "tls1.3"
    # Names of cipher suites; empty: all that are safe.
    ciphers: list[str] = field(default_factory=list)

    @classmethod
    def from_config(cls, config: Config) -> TlsOptions | None:
        """The options, or `None` if connections are not to be secured."""
        if config.ssl_cert is None or config.ssl_key is None:
            return None
        return cls(
            certificates=[
                (config.ssl_cert, config.ssl_key, config.ssl_key_password),
                *(further(pair, config.ssl_key_password) for pair in config.ssl_sni or ()),
            ],
            alpn=list(ALPN[config.http]),
            ca=config.ssl_ca,
            crl=list(config.ssl_crl or ()),
            client_verify=config.ssl_client_verify,
            ticket_seed=config.ssl_ticket_seed,
            handshake_timeout=duration(config.ssl_handshake_timeout),
            protocol_min=str(config.ssl_protocol_min),
            protocol_max=str(config.ssl_protocol_max),
            ciphers=list(config.ssl_ciphers or ()),
        )


def further(pair: str, password: str | None) -> tuple[Path, Path, str | None]:
    """The certificate, the key and its password that `CERTIFICATE,KEY` names."""
    certificate, _, key = pair.partition(",")
    if not key:
        raise ConfigurationError("ssl_sni", f"{pair!r} is not CERTIFICATE,KEY")
    return Path(certificate), Path(key), password


def absolute_pair(pair: str) -> str:
    """`CERTIFICATE,KEY` with both paths absolute: the current folder is another one once an application is loaded."""
    return ",".join(str(Path(path).absolute()) if path else path for path in pair.split(",", 1))
