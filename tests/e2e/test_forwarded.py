"""`--forwarded-allow-ips`: what trusted proxies tell reaches applications of every interface, and the access log."""

from __future__ import annotations

import json
import re

import pytest

from .h2wire import H2Wire
from .server import Server
from .websocket import open_websocket
from .wire import Wire

TARGETS = {
    "asgi": ("seen_by:asgi", "asgi"),
    "rsgi": ("seen_by:rsgi", "rsgi"),
    "wsgi": ("seen_by:wsgi", "wsgi", "--blocking-threads", "1"),
    "wsgi-pool": ("seen_by:wsgi", "wsgi", "--blocking-threads", "4"),
}
LOG = ("--access-log", "--access-log-fmt", "@access %(addr)s %(scheme)s %(status)d %(path)s")
TRUSTED = ("--forwarded-allow-ips", "127.0.0.1, 10.0.0.0/8", *LOG)
TOLD = (
    "X-Forwarded-For: 6.6.6.6, 1.2.3.4:99, 10.0.0.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: a.example",
    "X-Forwarded-Port: 8443",
    "X-Forwarded-Prefix: /api",
)
SEEN = {
    "client": ["1.2.3.4", 99],
    "scheme": "https",
    "host": "a.example:8443",
    "root_path": "/api",
    "path": "/api/here",
    "version": "1.1",
}


def facts(body: bytes) -> dict:
    """Those that every interface has; RSGI's path is the one that has come."""
    found = json.loads(body)
    https = found.pop("https", None)
    assert https == ("on" if https is not None and found["scheme"] == "https" else None)
    if (raw := found.pop("raw_path", None)) is not None:
        assert raw == found["path"]
    return found


def expected(interface: str, **other: object) -> dict:
    path = {"path": "/here"} if interface == "rsgi" else {}
    return {**SEEN, **path, **other}


@pytest.mark.parametrize("interface", TARGETS)
def test_every_interface(server, interface):
    probe: Server = server(*TARGETS[interface], *TRUSTED)
    mark = probe.mark()
    assert facts(probe.get("/here", *TOLD).body) == expected(interface)
    rfc = 'Forwarded: for="[2001:db8::1]:7";proto=https;host=b.example, for=10.1.1.1;proto=http'
    seen = facts(probe.get("/here", rfc).body)
    assert (seen["client"], seen["scheme"], seen["host"]) == (["2001:db8::1", 7], "https", "b.example")
    assert facts(probe.get("/here", "X-Forwarded-Proto: https").body)["scheme"] == "https"
    for line in ("1.2.3.4 https 200 /here", "2001:db8::1 https 200 /here", "127.0.0.1 https 200 /here"):
        probe.wait_line(f"^{re.escape(f'@access {line}')}$", mark)


@pytest.mark.parametrize("interface", TARGETS)
def test_http2(server, interface):
    probe: Server = server(*TARGETS[interface], *TRUSTED)
    told = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in TOLD)]
    with H2Wire(probe.address) as wire:
        answer = wire.request("GET", "/here", *told)
        assert facts(bytes(answer.body)) == expected(interface, version="2")
        # Another client on the same connection.
        answer = wire.request("GET", "/here", ("x-forwarded-for", "5.6.7.8"))
        seen = facts(bytes(answer.body))
        assert (seen["client"], seen["scheme"], seen["host"]) == (["5.6.7.8", 0], "http", "h")


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_websockets(server, interface):
    probe: Server = server(*TARGETS[interface], *TRUSTED)
    with open_websocket(probe, "/here", *TOLD) as ws:
        seen = facts(ws.message().encode())
    scheme = "wss" if interface == "asgi" else "https"
    assert seen == expected(interface, scheme=scheme)


@pytest.mark.parametrize("interface", TARGETS)
def test_strangers_and_malformed_values_have_no_effect(server, interface):
    probe: Server = server(*TARGETS[interface], "--forwarded-allow-ips", "10.0.0.0/8", *LOG)
    with probe.connect() as wire:
        own = wire.socket.getsockname()
        seen = facts(wire.request("GET", "/here", *TOLD, "Forwarded: for=1.2.3.4").response().body)
    none = {"client": list(own), "scheme": "http", "root_path": "", "path": "/here"}
    assert {name: seen[name] for name in none} == none
    assert "a.example" not in seen["host"]
    probe = server(*TARGETS[interface], *TRUSTED)
    bad = ("X-Forwarded-For: 1.2.3.4, unknown", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: a b")
    with probe.connect() as wire:
        own = wire.socket.getsockname()
        seen = facts(wire.request("GET", "/here", *bad, "X-Forwarded-Prefix: //evil").response().body)
    assert {name: seen[name] for name in none} == {**none, "client": list(own)}


def test_without_the_option_nothing_is_believed(server):
    probe: Server = server(*TARGETS["asgi"])
    seen = facts(probe.get("/here", *TOLD).body)
    assert (seen["client"][0], seen["scheme"], seen["root_path"]) == ("127.0.0.1", "http", "")


@pytest.mark.parametrize("trusted", ["unix", "*"])
def test_unix_sockets(server, trusted):
    probe: Server = server(*TARGETS["wsgi"], "--forwarded-allow-ips", trusted, uds=True)
    assert facts(probe.get("/here", "X-Forwarded-For: 6.6.6.6, 1.2.3.4").body)["client"] == ["1.2.3.4", 0]


def test_named_headers_only(server):
    options = ("--forwarded-headers", "x-forwarded-for", "--forwarded-headers", "x-forwarded-proto")
    probe: Server = server(*TARGETS["asgi"], *TRUSTED, *options)
    seen = facts(probe.get("/here", *TOLD).body)
    assert (seen["client"], seen["scheme"], seen["root_path"]) == (["1.2.3.4", 99], "https", "")
    assert "a.example" not in seen["host"]


@pytest.mark.parametrize("interface", TARGETS)
def test_prefix_beside_the_servers_own(server, interface):
    probe: Server = server(*TARGETS[interface], *TRUSTED, "--url-path-prefix", "/v1")
    seen = facts(probe.get("/v1/here", *TOLD).body)
    path = "/v1/here" if interface == "rsgi" else "/api/v1/here"
    assert (seen["root_path"], seen["path"]) == ("/api/v1", path)
    # A proxy that tells the prefix and leaves it there.
    seen = facts(probe.get("/api/v1/here", *TOLD).body)
    assert (seen["root_path"], seen["path"]) == ("/api/v1", "/api/v1/here")


def test_refusals_show_the_client(server):
    probe: Server = server(*TARGETS["asgi"], *TRUSTED)
    mark = probe.mark()
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 12")
    assert probe.get("/refused", "X-Forwarded-For: 1.2.3.4", *lines).status == 400
    probe.wait_line(r"^@access 1\.2\.3\.4 http 400 /refused$", mark)


@pytest.mark.parametrize("name", ["GRANIAN_FORWARDED_ALLOW_IPS", "FORWARDED_ALLOW_IPS"])
def test_the_variables(server, name):
    probe: Server = server(*TARGETS["asgi"], env={name: "10.0.0.0/8,127.0.0.1"})
    assert facts(probe.get("/here", *TOLD).body)["client"] == ["1.2.3.4", 99]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--forwarded-allow-ips", "10.0.0.1/8"), "--forwarded-allow-ips: '10.0.0.1/8' is no address, network"),
        (("--forwarded-allow-ips", "localhost"), "--forwarded-allow-ips: 'localhost' is no address, network"),
        (("--proxy-protocol",), "--proxy-protocol: there is no proxy (forwarded_allow_ips) to believe"),
        (("--forwarded-headers", "forwarded"), "--forwarded-headers: there is no proxy (forwarded_allow_ips)"),
    ],
)
def test_faults_of_configuration(launch, options, line):
    probe: Server = launch(*TARGETS["asgi"], *options)
    probe.wait_line(re.escape(line))
    assert probe.wait_exit() == 1


def test_pipelined_requests_of_different_clients(server):
    probe: Server = server(*TARGETS["asgi"], *TRUSTED)
    with Wire(probe.address) as wire:
        for last in range(1, 4):
            wire.request("GET", "/here", f"X-Forwarded-For: 1.2.3.{last}")
        for last in range(1, 4):
            assert facts(wire.response().body)["client"] == [f"1.2.3.{last}", 0]
