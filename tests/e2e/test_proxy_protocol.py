"""`--proxy-protocol`: the header before the first byte of a connection, of both versions, from trusted proxies only."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Any

import pytest

from . import h2wire
from .server import Server
from .test_forwarded import LOG, TARGETS, facts
from .tls import context
from .wire import DEADLINE, Wire

OPTIONS = ("--forwarded-allow-ips", "127.0.0.1", "--proxy-protocol", "--log-level", "debug", *LOG)
LINE = b"PROXY TCP4 1.2.3.4 10.0.0.1 5678 80\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
GET = b"GET /here HTTP/1.1\r\nHost: h\r\n\r\n"


def binary(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(payload)) + payload


V4 = socket.inet_aton("1.2.3.4") + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 5678, 80)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "::1")
# ALPN, and TLS between the client and the proxy.
TLS_TLVS = b"\x01\x00\x02h2" + b"\x20\x00\x05\x01\x00\x00\x00\x00"
HEADERS = {
    "v1": (LINE, ["1.2.3.4", 5678], "http"),
    "v1-v6": (b"PROXY TCP6 2001:db8::1 ::1 5678 80\r\n", ["2001:db8::1", 5678], "http"),
    "v2": (binary(1, 0x11, V4), ["1.2.3.4", 5678], "http"),
    "v2-v6": (binary(1, 0x21, V6 + struct.pack(">HH", 5678, 80)), ["2001:db8::1", 5678], "http"),
    "v2-tls": (binary(1, 0x11, V4 + TLS_TLVS), ["1.2.3.4", 5678], "https"),
}
OWN = {
    "v1-unknown": b"PROXY UNKNOWN\r\n",
    "v1-unknown-more": b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    "v2-local": binary(0, 0x00, b""),
    "v2-local-with-address": binary(0, 0x11, V4),
    "v2-unspec": binary(1, 0x00, b"anything"),
    "v2-unix": binary(1, 0x31, bytes(216)),
}


@pytest.fixture
def probe(server) -> Server:
    return server(*TARGETS["asgi"], *OPTIONS)


@pytest.mark.parametrize("kind", HEADERS)
def test_the_client_of_the_header(probe, kind):
    header, client, scheme = HEADERS[kind]
    mark = probe.mark()
    with probe.connect() as wire:
        seen = facts(wire.send(header + GET).response().body)
        assert (seen["client"], seen["scheme"]) == (client, scheme)
        # It holds for the connection; a client's own headers count for nothing.
        seen = facts(wire.request("GET", "/", "X-Forwarded-For: 6.6.6.6").response().body)
        assert seen["client"] == client
    probe.wait_line(rf"^@access {client[0]} {scheme} 200 /here$", mark)


@pytest.mark.parametrize("kind", OWN)
def test_the_peer_itself(probe, kind):
    with probe.connect() as wire:
        own = list(wire.socket.getsockname())
        assert facts(wire.send(OWN[kind] + GET).response().body)["client"] == own


@pytest.mark.parametrize("header", [HEADERS["v1"][0], HEADERS["v2-tls"][0]], ids=["v1", "v2"])
def test_byte_by_byte(probe, header):
    with probe.connect() as wire:
        for byte in header + GET:
            wire.send(bytes([byte]))
        assert facts(wire.response().body)["client"] == ["1.2.3.4", 5678]


@pytest.mark.parametrize("interface", ["rsgi", "wsgi", "wsgi-pool"])
def test_other_interfaces(server, interface):
    probe: Server = server(*TARGETS[interface], *OPTIONS)
    with probe.connect() as wire:
        seen = facts(wire.send(HEADERS["v2-tls"][0] + GET).response().body)
        assert (seen["client"], seen["scheme"]) == (["1.2.3.4", 5678], "https")


class Relayed(Wire):
    """A connection that a proxy has made."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.send(LINE)


def test_http2_without_tls(probe, monkeypatch):
    monkeypatch.setattr(h2wire, "Wire", Relayed)
    with h2wire.H2Wire(probe.address) as wire:
        assert facts(bytes(wire.request("GET", "/").body))["client"] == ["1.2.3.4", 5678]


MALFORMED = {
    "no header": (GET, "no PROXY header"),
    "tls": (b"\x16\x03\x01\x00\x05", "no PROXY header"),
    "v1": (b"PROXY TCP4 1.2.3.4 10.0.0.1 5678\r\n" + GET, "malformed PROXY header"),
    "v1 too long": (b"PROXY UNKNOWN " + b"x" * 200, "PROXY header too long"),
    "v2 version": (SIGNATURE + b"\x31\x11\x00\x0c" + V4, "malformed PROXY header"),
    "v2 too short": (binary(1, 0x21, V4), "malformed PROXY header"),
    "v2 too long": (SIGNATURE + b"\x21\x11\xff\xff", "PROXY header too long"),
}


def test_malformed_headers_end_the_connection_with_a_cause(server):
    probe: Server = server(*TARGETS["asgi"], *OPTIONS, fresh=True)
    for name, (data, reason) in MALFORMED.items():
        mark = probe.mark()
        with probe.connect() as wire:
            port = wire.socket.getsockname()[1]
            assert wire.send(data).rest() == b"", name
        probe.wait_line(rf"Connection from 127\.0\.0\.1:{port} closed: proxy_refused", mark)
        if name == "no header":
            # The others are told at debug level only: a line a minute.
            probe.wait_line(rf"WARNING.* refused \(proxy_protocol\): {reason}", mark)
    assert sum("refused (proxy_protocol)" in line for line in probe.lines()) == 1


def test_strangers_are_refused(server):
    options = ("--forwarded-allow-ips", "10.0.0.0/8", "--proxy-protocol", "--log-level", "debug")
    probe: Server = server(*TARGETS["asgi"], *options)
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.rest() == b""
    probe.wait_line(r"refused \(proxy_protocol\): it is none of forwarded_allow_ips", mark)
    probe.wait_line(r"closed: proxy_refused", mark)


def test_everybody_is_no_proxy_behind_a_header(server):
    """With `*` the peer may send the header, but who is named in it is a client."""
    probe: Server = server(*TARGETS["asgi"], "--forwarded-allow-ips", "*", "--proxy-protocol")
    with probe.connect() as wire:
        wire.send(LINE).request("GET", "/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
        seen = facts(wire.response().body)
        assert (seen["client"], seen["scheme"]) == (["1.2.3.4", 5678], "http")


def test_a_proxy_of_http_behind_one_of_tcp(server):
    options = ("--forwarded-allow-ips", "127.0.0.1,1.2.3.4", "--proxy-protocol")
    probe: Server = server(*TARGETS["asgi"], *options)
    with probe.connect() as wire:
        wire.send(LINE).request("GET", "/", "X-Forwarded-For: 9.9.9.9, 7.7.7.7")
        assert facts(wire.response().body)["client"] == ["7.7.7.7", 0]


def test_a_header_that_does_not_end_in_time(server):
    options = ("--http1-header-read-timeout", "200")
    probe: Server = server(*TARGETS["asgi"], *OPTIONS, *options)
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(LINE[:20]).rest() == b""
    probe.wait_line(r"closed: head_timeout", mark)


def test_a_client_that_leaves_before_the_header_ends(probe):
    for data in (b"", LINE[:20], SIGNATURE):
        mark = probe.mark()
        wire = probe.connect().send(data)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.rest() == b""
        wire.close()
        probe.wait_line(r"closed: peer_closed", mark)


@pytest.mark.parametrize("header", [LINE, binary(1, 0x11, V4)], ids=["v1", "v2"])
def test_before_tls(server, files, header):
    probe: Server = server(*TARGETS["asgi"], *OPTIONS, *files.options)
    port = int(probe.wait_line(r"Listening at: https://127\.0\.0\.1:(\d+)")[1])
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as plain:
        # The first bytes of the handshake are in the same segment.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context(files.authority, ("http/1.1",)).wrap_bio(incoming, outgoing, server_hostname="localhost")
        plain.sendall(header + _hello(client, outgoing))
        response = _talk(client, plain, incoming, outgoing)
    assert client.selected_alpn_protocol() == "http/1.1"
    seen = facts(response.partition(b"\r\n\r\n")[2])
    assert (seen["client"], seen["scheme"]) == (["1.2.3.4", 5678], "https")


def test_the_port_that_redirects(server, files):
    probe: Server = server(*TARGETS["asgi"], *OPTIONS, *files.options, "--ssl-redirect-port", "0")
    port = int(probe.wait_line(r"Redirecting to https at: http://127\.0\.0\.1:(\d+)$")[1])
    mark = probe.mark()
    with Wire(("127.0.0.1", port)) as wire:
        response = wire.send(LINE + GET).response()
    assert (response.header("location") or "").startswith("https://h")
    probe.wait_line(r"^@access 1\.2\.3\.4 http 30\d /here$", mark)


def _hello(client: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> bytes:
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def _talk(client: ssl.SSLObject, plain: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> bytes:
    """The handshake, a request, and its response up to the end of the connection."""
    request = b"GET /here HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    received = b""
    steps = [client.do_handshake, lambda: client.write(request)]
    while True:
        try:
            if steps:
                steps[0]()
                steps.pop(0)
            else:
                received += client.read(65536)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            return received
        else:
            if steps:
                continue
        if data := outgoing.read():
            plain.sendall(data)
        if not steps and b"}" in received:
            return received
        data = plain.recv(65536)
        if not data:
            return received
        incoming.write(data)


def test_connections_are_counted_by_the_client_of_the_header(server):
    options = ("--max-connections-per-client", "1")
    probe: Server = server(*TARGETS["asgi"], *OPTIONS, *options)
    with probe.connect() as first, probe.connect() as other, probe.connect() as second:
        assert first.send(LINE + GET).response().status == 200
        # Health checks are the proxy's own, which is not bounded.
        assert other.send(OWN["v2-local"] + GET).response().status == 200
        mark = probe.mark()
        assert second.send(LINE + GET).rest() == b""
        probe.wait_line(r"Connection from 1\.2\.3\.4:5678 closed: crowded_out", mark)
        with probe.connect() as third:
            assert third.send(HEADERS["v1-v6"][0] + GET).response().status == 200
