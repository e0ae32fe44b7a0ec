"""Wrappers that believe `X-Forwarded-For` and `X-Forwarded-Proto` of the proxies one trusts.

The option `--forwarded-allow-ips` does this and more in the core (docs/proxies.md). The wrappers are for applications
that run under other servers as well, and for those that trust proxies by a name.

Both headers are lists that every proxy appends to, so only their right ends are known to be true: `TrustedHosts.look`
goes from there to the first host that is not trusted, which is the client, and takes the scheme from the same hop.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from ..rsgi import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ASGIApp = Callable[[Any, Any, Any], Awaitable[Any]]
RSGIApp = Callable[[Any, Any], Awaitable[Any]]
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def wrap_asgi_with_proxy_headers(app: ASGIApp, trusted_hosts: Sequence[str] | str = "127.0.0.1") -> ASGIApp:
    """`app` with `scope["client"]` and `scope["scheme"]` as the nearest client of a trusted proxy has them.

    `trusted_hosts` holds addresses, networks (`10.0.0.0/8`) and literal names, as a list or separated by commas; by
    default it is this machine. `*` is everybody, also the peers of a Unix socket, which have no name: then only the
    right-most entry of `X-Forwarded-For` counts, for the sender can make up the others. Brackets are left away, and a
    port behind an address becomes the client's port, which is 0 otherwise.

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
    """`app` with `REMOTE_ADDR`, `REMOTE_PORT` and `wsgi.url_scheme` as the nearest client of a trusted proxy has them.

    `trusted_hosts` is as for `wrap_asgi_with_proxy_headers`.
    """
    trusted = TrustedHosts(trusted_hosts)

    @wraps(app)
    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if trusted.trusts_peer(environ.get("REMOTE_ADDR", "")):
            forwarded = trusted.look(
                environ.get("HTTP_X_FORWARDED_FOR", ""), environ.get("HTTP_X_FORWARDED_PROTO", ""), _HTTP_SCHEMES
            )
            if forwarded.host:
                environ["REMOTE_ADDR"] = forwarded.host
                # The port that is there already is the proxy's.
                environ["REMOTE_PORT"] = str(forwarded.port)
            if forwarded.scheme:
                environ["wsgi.url_scheme"] = forwarded.scheme
        return app(environ, start_response)

    return wrapped


def wrap_rsgi_with_proxy_headers(app: Any, trusted_hosts: Sequence[str] | str = "127.0.0.1") -> RSGIApp:
    """`app` with `scope.client` and `scope.scheme` as the nearest client of a trusted proxy has them.

    `app` is a function or an object with `__rsgi__`; its `__rsgi_init__` and `__rsgi_del__` are called as before.
    `trusted_hosts` is as for `wrap_asgi_with_proxy_headers`.
    """
    trusted = TrustedHosts(trusted_hosts)
    call = getattr(app, "__rsgi__", app)

    @wraps(call)
    async def wrapped(scope: Any, protocol: Any) -> Any:
        if trusted.trusts_peer(_bare(scope.client)):
            addresses, protocols = (",".join(scope.headers.get_all(name)) for name in _FORWARDED)
            forwarded = trusted.look(addresses, protocols, _SCHEMES)
            if forwarded.host or forwarded.scheme:
                scope = ForwardedScope(scope, forwarded)
        return await call(scope, protocol)

    for hook in ("__rsgi_init__", "__rsgi_del__"):
        if hasattr(app, hook):
            setattr(wrapped, hook, getattr(app, hook))
    return wrapped


@dataclass(frozen=True)
class Forwarded:
    """The client as its nearest trusted proxy saw it; empty where nothing was told."""

    host: str = ""
    # 0 if it was not told.
    port: int = 0
    scheme: str = ""


class TrustedHosts:
    """The addresses, networks and names that are trusted."""

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

    def look(self, addresses: str, protocols: str, known: frozenset[str]) -> Forwarded:
        """The client that these headers tell of, if a trusted peer has sent them.

        The client is the right-most host that is not trusted itself; if all are, the left-most. Whoever trusts
        everybody gets the right-most, the only one that the sender did not make up. The scheme is the value of the
        same hop, counted from the right; with fewer values than hops, the one of the hop farthest away. A scheme that
        is not in `known` is none.
        """
        hosts, schemes = _items(addresses), _items(protocols.lower())
        hops = 1
        if not self.everybody:
            hops = next((hop for hop, host in enumerate(reversed(hosts), 1) if host not in self), max(len(hosts), 1))
        host, port = _split(hosts[-hops]) if hosts else ("", 0)
        scheme = schemes[-min(hops, len(schemes))] if schemes else ""
        return Forwarded(host, port, scheme if scheme in known else "")

    def _add(self, name: str) -> None:
        if "/" in name:
            self._networks.append(ipaddress.ip_network(name))
            return
        try:
            self._networks.append(ipaddress.ip_network(ipaddress.ip_address(name)))
        except ValueError:
            self._names.add(name)


class ForwardedScope(Scope):
    """An RSGI scope with another client and scheme; read-only like any other, but for its `route`."""

    client: str
    scheme: str

    def __init__(self, scope: Any, forwarded: Forwarded) -> None:
        host = f"[{forwarded.host}]" if ":" in forwarded.host else forwarded.host
        facts = {
            "_scope": scope,
            "client": f"{host}:{forwarded.port}" if host else scope.client,
            # There is one scheme for HTTP and websockets.
            "scheme": _HTTP_NAMES.get(forwarded.scheme, forwarded.scheme) or scope.scheme,
        }
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name != "route":
            raise AttributeError(f"{name} of a scope is read-only")
        self._scope.route = value


def _apply_to_scope(scope: Any, trusted: TrustedHosts) -> None:
    headers = scope["headers"]
    forwarded = trusted.look(_joined(headers, b"x-forwarded-for"), _joined(headers, b"x-forwarded-proto"), _SCHEMES)
    if forwarded.host:
        scope["client"] = (forwarded.host, forwarded.port)
    if scheme := forwarded.scheme:
        scope["scheme"] = _WEBSOCKET_SCHEMES.get(scheme, scheme) if scope["type"] == "websocket" else scheme


def _joined(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in headers if name == wanted)


def _items(values: str) -> list[str]:
    """The elements of a list header."""
    return [item for part in values.split(",") if (item := part.strip())]


def _split(host: str) -> tuple[str, int]:
    """Address and port of `1.2.3.4`, `1.2.3.4:99`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:99`."""
    bare = _bare(host)
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        # A name, or what a proxy writes in the place of an address.
        return host, 0
    port = host.rpartition(":")[2] if host.startswith("[") or "." in host else ""
    return bare, int(port) if port.isdecimal() and port.isascii() and int(port) <= MAX_PORT else 0


def _bare(host: str) -> str:
    """An address without the brackets and the port that some proxies write."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


MAX_PORT = 65_535
_HTTP_SCHEMES = frozenset({"http", "https"})
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_HTTP_NAMES = {"ws": "http", "wss": "https"}
_FORWARDED = ("x-forwarded-for", "x-forwarded-proto")
_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}
