"""Behind real nginx and HAProxy, one and two of them: the client, scheme, host and prefix, and the PROXY protocol."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from . import fronts
from .fronts import APPENDING, CLIENT, HAPROXY, OUTER, TRUSTED, Front
from .server import Server
from .test_forwarded import LOG, TARGETS, facts
from .tls import Files, context

HTTP = ("asgi", "rsgi", "wsgi")
KINDS = ("nginx", "haproxy", "haproxy-h2", "haproxy+nginx", "nginx+haproxy")
# What a client makes up.
SPOOFED = {
    "x-forwarded-for": "6.6.6.6",
    "x-forwarded-proto": "wss",
    "x-forwarded-host": "evil",
    "x-forwarded-port": "666",
    "x-forwarded-prefix": "/evil",
    "forwarded": "for=6.6.6.6;proto=https;host=evil",
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Callable[..., Front]]:
    """Starts each proxy once: `started(kind, upstream, **words)`."""
    running: dict[Any, Front] = {}

    def start(make: Callable[..., Front], upstream: str, **words: Any) -> Front:
        key = (make.__name__, upstream, *words.items())
        if key not in running:
            running[key] = make(tmp_path_factory.mktemp(make.__name__), files, upstream, **words)
        running[key].check()
        return running[key]

    yield start
    for front in running.values():
        front.stop()


@pytest.fixture
def chain(started: Callable[..., Front]) -> Callable[[str, Server], Front]:
    """The proxy that clients of this server connect to; the first one named is the outermost."""

    def make(kind: str, server: Server) -> Front:
        upstream = f"127.0.0.1:{server.address[1]}"
        match kind:
            case "nginx":
                return started(fronts.nginx, upstream)
            case "haproxy":
                return started(fronts.haproxy, upstream, rules=OUTER)
            case "haproxy-h2":
                return started(fronts.haproxy, upstream, rules=OUTER, server="proto h2")
            case "haproxy+nginx":
                inner = started(fronts.nginx, upstream, is_inner=True)
                return started(fronts.haproxy, f"127.0.0.1:{inner.port}", rules=OUTER)
            case _:
                inner = started(fronts.haproxy, upstream, rules=APPENDING)
                return started(fronts.nginx, f"127.0.0.1:{inner.port}")

    return make


def client(files: Files | None = None, *, has_http2: bool = False) -> httpx.Client:
    """Connects from `CLIENT`; speaks TLS and trusts `files` if given."""
    verify: Any = context(files.authority) if files else False
    transport = httpx.HTTPTransport(verify=verify, http1=not has_http2, http2=has_http2, local_address=CLIENT)
    return httpx.Client(transport=transport, timeout=10, trust_env=False)


@pytest.mark.parametrize("interface", HTTP)
@pytest.mark.parametrize("kind", KINDS)
def test_the_client_as_it_is(server, chain, files, kind, interface):
    probe: Server = server(*TARGETS[interface], *TRUSTED, *LOG)
    front = chain(kind, probe)
    mark = probe.mark()
    with client() as plain:
        seen = facts(plain.get(f"http://127.0.0.1:{front.port}/here", headers=SPOOFED).content)
    assert (seen["client"][0], seen["scheme"], seen["host"]) == (CLIENT, "http", f"127.0.0.1:{front.port}")
    assert (seen["root_path"], seen["path"]) == ("", "/here")
    with client(files, has_http2=True) as secured:
        response = secured.get(f"https://localhost:{front.secured_port}/here?a=b", headers=SPOOFED)
        assert response.http_version == "HTTP/2"
        seen = facts(response.content)
    assert (seen["client"][0], seen["scheme"], seen["host"]) == (CLIENT, "https", f"localhost:{front.secured_port}")
    assert seen["version"] == ("2" if kind == "haproxy-h2" else "1.1")
    for scheme in ("http", "https"):
        probe.wait_line(rf"^@access {CLIENT} {scheme} 200 /here$", mark)


@pytest.mark.parametrize("interface", HTTP)
@pytest.mark.parametrize("kind", KINDS)
def test_a_prefix_that_the_outermost_takes_away(server, chain, kind, interface):
    probe: Server = server(*TARGETS[interface], *TRUSTED, *LOG)
    front = chain(kind, probe)
    with client() as plain:
        response = plain.get(f"http://127.0.0.1:{front.port}/api/here", headers=SPOOFED)
        seen = facts(response.content)
    path = "/here" if interface == "rsgi" else "/api/here"
    assert (seen["root_path"], seen["path"], seen["client"][0]) == ("/api", path, CLIENT)


@pytest.mark.parametrize("is_secured", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
@pytest.mark.parametrize("kind", KINDS)
def test_websockets(server, chain, files, kind, interface, is_secured):
    from websockets.sync.client import connect

    probe: Server = server(*TARGETS[interface], *TRUSTED, *LOG)
    front = chain(kind, probe)
    port = front.secured_port if is_secured else front.port
    plain = socket.create_connection(("127.0.0.1", port), source_address=(CLIENT, 0))
    secured = {"ssl": context(files.authority, ("http/1.1",)), "server_hostname": "localhost"} if is_secured else {}
    url = f"{'wss' if is_secured else 'ws'}://localhost:{port}/here"
    with connect(url, sock=plain, additional_headers=SPOOFED, proxy=None, **secured) as websocket:
        seen = facts(str(websocket.recv()).encode())
        websocket.send("hello")
        assert websocket.recv() == "hello"
    scheme = ("wss" if is_secured else "ws") if interface == "asgi" else ("https" if is_secured else "http")
    assert (seen["client"][0], seen["scheme"], seen["host"]) == (CLIENT, scheme, f"localhost:{port}")


def test_who_comes_around_the_proxy_tells_nothing(server, chain):
    probe: Server = server(*TARGETS["asgi"], *TRUSTED, *LOG)
    chain("nginx", probe)
    with client() as plain:
        seen = facts(plain.get(f"{probe.url}/here", headers=SPOOFED).content)
    own = (CLIENT, "http", f"127.0.0.1:{probe.address[1]}", "")
    assert (seen["client"][0], seen["scheme"], seen["host"], seen["root_path"]) == own


def test_an_outer_proxy_that_is_not_named_is_the_client(server, chain):
    options = ("--forwarded-allow-ips", fronts.NGINX)
    probe: Server = server(*TARGETS["asgi"], *options)
    front = chain("haproxy+nginx", probe)
    with client() as plain:
        seen = facts(plain.get(f"http://127.0.0.1:{front.port}/here").content)
    assert seen["client"][0] == HAPROXY


def test_nginx_before_a_unix_socket(server, started):
    probe: Server = server(*TARGETS["asgi"], "--forwarded-allow-ips", "unix", uds=True)
    front = started(fronts.nginx, f"unix:{probe.address}:")
    with client() as plain:
        seen = facts(plain.get(f"http://127.0.0.1:{front.port}/here").content)
    assert seen["client"] == [CLIENT, 0]


PROXY = ("--forwarded-allow-ips", HAPROXY, "--proxy-protocol", "--log-level", "debug", *LOG)


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("interface", HTTP)
def test_proxy_protocol(server, started, interface, version):
    probe: Server = server(*TARGETS[interface], *PROXY)
    front = started(fronts.haproxy, f"127.0.0.1:{probe.address[1]}", mode="tcp", server=version)
    mark = probe.mark()
    with socket.create_connection(("127.0.0.1", front.port), source_address=(CLIENT, 0)) as plain:
        own = list(plain.getsockname())
        plain.sendall(b"GET /here HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n")
        response = b"".join(iter(lambda: plain.recv(65536), b""))
    assert facts(response.partition(b"\r\n\r\n")[2])["client"] == own
    probe.wait_line(rf"^@access {CLIENT} http 200 /here$", mark)


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_proxy_protocol_before_tls(server, started, files, version):
    """The server's own choice of a certificate and of HTTP/2."""
    probe: Server = server(*TARGETS["asgi"], *PROXY, *files.options)
    front = started(fronts.haproxy, f"127.0.0.1:{probe.address[1]}", mode="passthrough", server=version)
    with client(files, has_http2=True) as secured:
        response = secured.get(f"https://localhost:{front.secured_port}/here")
        assert response.http_version == "HTTP/2"
        seen = facts(response.content)
    assert (seen["client"][0], seen["scheme"], seen["version"]) == (CLIENT, "https", "2")


def test_proxy_protocol_with_tls_ended_by_the_proxy(server, started, files):
    probe: Server = server(*TARGETS["asgi"], *PROXY)
    upstream = f"127.0.0.1:{probe.address[1]}"
    front = started(fronts.haproxy, upstream, mode="tcp", server="send-proxy-v2-ssl")
    with client(files) as secured:
        seen = facts(secured.get(f"https://localhost:{front.secured_port}/here").content)
    assert (seen["client"][0], seen["scheme"]) == (CLIENT, "https")


def test_health_checks_of_the_proxy_are_its_own(server, started):
    probe: Server = server(*TARGETS["asgi"], *PROXY, fresh=True)
    mark = probe.mark()
    check = "send-proxy-v2 check inter 50ms"
    started(fronts.haproxy, f"127.0.0.1:{probe.address[1]}", mode="tcp", server=check)
    for _ in range(3):
        probe.wait_line(rf"Connection from {HAPROXY}:\d+ closed: peer_(closed|lost)", mark)
        mark = probe.mark()
    assert "proxy_refused" not in probe.log()
