"""Wrappers that believe `X-Forwarded-For` and `X-Forwarded-Proto` of the proxies one trusts."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import wraps
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ASGIApp = Callable[[Any, Any, Any], Awaitable[Any]]
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def wrap_asgi_with_proxy_headers(app: ASGIApp, trusted_hosts: Sequence[str] | str = "127.0.0.1") -> ASGIApp:
    """`app` with `scope["client"]` and `scope["scheme"]` as the nearest client of a trusted proxy has them.

    `trusted_hosts` holds addresses, networks (`10.0.0.0/8`) and literal names, as a list or separated by commas; by
    default it is this machine. `*` is everybody, also the peers of a Unix socket, which have no name: then only the
    right-most entry of `X-Forwarded-For` counts, for the sender can make up the others.

    # Errors
    `ValueError` for a network that is none, such as `10.0.0.1/8`.
    """
    trusted = TrustedHosts(trusted_hosts)

    @wraps(app)
    async def wrapped(scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] in ("http", "websocket"):
            peer = scope.get("client")
            if trusted.trusts_peer(peer[0] if peer else ""):
                _apply_to_scope(scope, trusted)
        return await app(scope, receive, send)

    return wrapped


def wrap_wsgi_with_proxy_headers(app: WSGIApp, trusted_hosts: Sequence[str] | str = "127.0.0.1") -> WSGIApp:
    """`app` with `REMOTE_ADDR` and `wsgi.url_scheme` as the nearest client of a trusted proxy has them.

    `trusted_hosts` is as for `wrap_asgi_with_proxy_headers`.
    """
    trusted = TrustedHosts(trusted_hosts)

    @wraps(app)
    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if trusted.trusts_peer(environ.get("REMOTE_ADDR", "")):
            client = trusted.client_of(environ.get("HTTP_X_FORWARDED_FOR", ""))
            if client:
                environ["REMOTE_ADDR"] = client
            scheme = _scheme_of(environ.get("HTTP_X_FORWARDED_PROTO", ""), _HTTP_SCHEMES)
            if scheme:
                environ["wsgi.url_scheme"] = scheme
        return app(environ, start_response)

    return wrapped


class TrustedHosts:
    """Whom to believe."""

    def __init__(self, hosts: Sequence[str] | str) -> None:
        items = hosts.split(",") if isinstance(hosts, str) else hosts
        names = {item.strip() for item in items} - {""}
        self.everybody = "*" in names
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for name in names - {"*"}:
            self._add(name)

    def trusts_peer(self, peer: str) -> bool:
        """Whether the headers that come from `peer` count; a Unix socket's peer has no name."""
        return self.everybody or (bool(peer) and peer in self)

    def __contains__(self, host: str) -> bool:
        if self.everybody or host in self._names:
            return True
        try:
            address = ipaddress.ip_address(_bare(host))
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)

    def client_of(self, forwarded: str) -> str:
        """The right-most host that is not trusted itself; if all are, the left-most.

        Whoever trusts everybody gets the right-most, the only one that the sender did not make up.
        """
        hosts = [host for item in forwarded.split(",") if (host := item.strip())]
        if not hosts:
            return ""
        if self.everybody:
            return hosts[-1]
        return next((host for host in reversed(hosts) if host not in self), hosts[0])

    def _add(self, name: str) -> None:
        if "/" in name:
            self._networks.append(ipaddress.ip_network(name))
            return
        try:
            self._networks.append(ipaddress.ip_network(ipaddress.ip_address(name)))
        except ValueError:
            self._names.add(name)


def _apply_to_scope(scope: Any, trusted: TrustedHosts) -> None:
    client = trusted.client_of(_joined(scope["headers"], b"x-forwarded-for"))
    if client:
        scope["client"] = (client, 0)
    scheme = _scheme_of(_joined(scope["headers"], b"x-forwarded-proto"), _SCHEMES)
    if scheme:
        scope["scheme"] = _WEBSOCKET_SCHEMES.get(scheme, scheme) if scope["type"] == "websocket" else scheme


def _joined(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in headers if name == wanted)


def _scheme_of(forwarded: str, known: frozenset[str]) -> str:
    """The first value that is a scheme."""
    first = next((item for part in forwarded.split(",") if (item := part.strip().lower())), "")
    return first if first in known else ""


def _bare(host: str) -> str:
    """An address without the brackets and the port that some proxies write."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


_HTTP_SCHEMES = frozenset({"http", "https"})
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}
