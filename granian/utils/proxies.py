"""Middleware for applications behind proxies: who the client is, as trusted proxies say."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedHosts:
    """Proxies that are believed: addresses, networks, literal names, or `*` for everybody."""

    def __init__(self, hosts: str | Sequence[str]) -> None:
        items = [item.strip() for item in (hosts.split(",") if isinstance(hosts, str) else hosts)]
        self.everybody = "*" in items
        self._networks: list[Network] = []
        self._literals: set[str] = set()
        for item in items:
            if "/" in item and not item.startswith(("/", "unix:")):
                self._networks.append(ipaddress.ip_network(item))
            else:
                self._literals.add(item)
        for literal in list(self._literals):
            address = _address(literal)
            if address is not None:
                self._literals.add(str(address))

    def __contains__(self, host: str | None) -> bool:
        if self.everybody:
            return True
        if not host:
            return "unix:" in self._literals
        address = _address(host)
        if address is None:
            return host in self._literals
        return str(address) in self._literals or any(address in network for network in self._networks)

    def client_of(self, forwarded: Iterable[str]) -> str | None:
        """The right-most address that is not trusted itself, else the left-most."""
        hosts = [host.strip() for value in forwarded for host in value.split(",") if host.strip()]
        if not hosts:
            return None
        if self.everybody:
            return hosts[0]
        for host in reversed(hosts):
            if host not in self:
                return host
        return hosts[0]


def wrap_asgi_with_proxy_headers(
    app: Callable[..., Any], trusted_hosts: str | Sequence[str] = "127.0.0.1"
) -> Callable[..., Any]:
    """`app` with `client` and `scheme` of its scopes as X-Forwarded-For and -Proto have them.

    Raises `ValueError` for an invalid network in `trusted_hosts`.
    """
    trusted = TrustedHosts(trusted_hosts)

    @functools.wraps(app)
    def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if scope["type"] != "lifespan":
            _apply_asgi(scope, trusted)
        return app(scope, receive, send)

    return wrapped


def wrap_wsgi_with_proxy_headers(
    app: Callable[..., Any], trusted_hosts: str | Sequence[str] = "127.0.0.1"
) -> Callable[..., Any]:
    """`app` with `REMOTE_ADDR` and `wsgi.url_scheme` as X-Forwarded-For and -Proto have them.

    Raises `ValueError` for an invalid network in `trusted_hosts`.
    """
    trusted = TrustedHosts(trusted_hosts)

    @functools.wraps(app)
    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("REMOTE_ADDR") in trusted:
            client = trusted.client_of([environ.get("HTTP_X_FORWARDED_FOR", "")])
            if client:
                environ["REMOTE_ADDR"] = client
            proto = environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower()
            if proto in ("http", "https"):
                environ["wsgi.url_scheme"] = proto
        return app(environ, start_response)

    return wrapped


def _apply_asgi(scope: dict[str, Any], trusted: TrustedHosts) -> None:
    peer = scope.get("client")
    if (peer[0] if peer else None) not in trusted:
        return
    values: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"x-forwarded-proto": []}
    for name, value in scope["headers"]:
        if name in values:
            values[name].append(value.decode("latin-1"))
    client = trusted.client_of(values[b"x-forwarded-for"])
    if client:
        scope["client"] = (client, 0)
    for proto in (value.strip().lower() for value in values[b"x-forwarded-proto"]):
        if proto in ("http", "https", "ws", "wss"):
            if scope["type"] == "websocket":
                proto = proto.replace("http", "ws")
            scope["scheme"] = proto
            break


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
