"""HTTP over TLS with several clients: protocols, bodies, versions, names, and the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import websockets.asyncio.client

from .certificates import rsa_key
from .conftest import ServerFactory
from .server import Server
from .tls import Files, TlsWire, context, plain, port
from .websocket import UPGRADE, WebSocket, close_frame

APP = "tls_apps:asgi"
STREAM = b"0123456789abcdef" * 1024 * 64
LARGE = bytes(range(256)) * 1200
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def secured(server: ServerFactory, files: Files) -> Server:
    return server(APP, "asgi", *files.options)


def curl(server: Server, files: Files, *arguments: str, path: str = "/", body: bytes = b"") -> bytes:
    command = ["curl", "-sS", "--max-time", "20", "--cacert", str(files.ca), *arguments]
    if body:
        command += ["--data-binary", "@-", "-H", "expect:"]
    done = subprocess.run([*command, f"https://localhost:{port(server)}{path}"], input=body, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


# Clients.


@pytest.mark.parametrize("version", ["--http1.1", "--http2", "--http2-prior-knowledge"])
def test_curl(secured: Server, files: Files, version: str) -> None:
    seen = json.loads(curl(secured, files, version, path="/tls"))
    assert seen["scheme"] == "https"
    assert seen["version"] == ("1.1" if version == "--http1.1" else "2")
    assert curl(secured, files, version, path="/stream") == STREAM
    assert curl(secured, files, version, path="/echo", body=LARGE) == LARGE


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_python_ssl(server: ServerFactory, files: Files, loop: str) -> None:
    running = server(APP, "asgi", *files.options, loop=loop)
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("POST", "/echo", body=LARGE).response().body == LARGE
        assert wire.request("GET", "/stream").response().body == STREAM
        wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, 65536, 8192):
            wire.send(b"2000\r\n" + LARGE[at : at + 8192] + b"\r\n")
        wire.send(b"0\r\n\r\n")
        assert wire.response().body == LARGE[:65536]


@pytest.mark.parametrize("http2", [False, True])
def test_httpx(secured: Server, files: Files, http2: bool) -> None:
    async def run() -> None:
        url = f"https://localhost:{port(secured)}"
        async with httpx.AsyncClient(http2=http2, verify=context(files.authority)) as client:
            answers = await asyncio.gather(*(client.post(f"{url}/echo", content=LARGE + b"%d" % i) for i in range(8)))
            assert [answer.content for answer in answers] == [LARGE + b"%d" % i for i in range(8)]
            answer = await client.get(f"{url}/stream")
            assert hashlib.sha256(answer.content).digest() == hashlib.sha256(STREAM).digest()
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")

    asyncio.run(run())


def test_websocket(secured: Server, files: Files) -> None:
    async def run() -> None:
        # Not the client of `websockets.sync`: its two threads may lose what they read and write at once, as
        # CPython's SSLSocket had no lock before 3.13.6.
        url = f"wss://localhost:{port(secured)}/"
        async with websockets.asyncio.client.connect(url, ssl=context(files.authority)) as client:
            for text in ("first", "x" * 200_000):
                await client.send(text)
                assert await client.recv() == "wss " + text

    asyncio.run(run())


def test_websocket_ends_properly_for_who_reads_late(secured: Server, files: Files) -> None:
    """Close frame and close_notify come behind all data, whatever waits in the session's queue."""
    message = "x" * 4_000_000
    with TlsWire(secured, context(files.authority), abrupt=True, receive_buffer=4096) as wire:
        client = WebSocket(wire, wire.request("GET", "/", *UPGRADE).response())
        client.send(message)
        wire.send(close_frame(1000))
        assert client.message() == "wss " + message
        assert client.closed() == (1000, "")
        assert wire.socket.recv(1) == b""


def test_wsgi_body(server: ServerFactory, files: Files) -> None:
    running = server("wsgi_probe:app", "wsgi", *files.options)
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("POST", "/echo", body=LARGE).response().body == LARGE


def test_failed_handshake_is_explained_to_those_who_look_closely(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, "--log-level", "debug")
    with plain(running) as wire:
        wire.sendall(b"\0" * 100)
        assert wire.recv(100)[:1] == b"\x15"  # an alert
    running.wait_line(r"\[DEBUG\] TLS handshake with 127\.0\.0\.1:\d+ failed: .+")


# ALPN, versions, ciphers.


@pytest.mark.parametrize(
    ("http", "offered", "chosen"),
    [
        ("auto", ("h2", "http/1.1"), "h2"),
        ("auto", ("http/1.1", "h2"), "h2"),
        ("auto", ("http/1.1",), "http/1.1"),
        ("auto", (), None),
        ("1", ("h2", "http/1.1"), "http/1.1"),
        ("2", ("h2", "http/1.1"), "h2"),
    ],
)
def test_alpn(server: ServerFactory, files: Files, http: str, offered: tuple[str, ...], chosen: str | None) -> None:
    running = server(APP, "asgi", *files.options, "--http", http)
    with TlsWire(running, context(files.authority, offered)) as wire:
        assert wire.socket.selected_alpn_protocol() == chosen


def test_no_common_protocol_is_an_alert(server: ServerFactory, files: Files) -> None:
    """RFC 7301, 3.2: a server that supports none of the client's protocols says so."""
    running = server(APP, "asgi", *files.options, "--http", "1")
    with pytest.raises(ssl.SSLError, match=r"(?i)no_application_protocol|no application protocol"):
        TlsWire(running, context(files.authority, ("h2",)))


@pytest.mark.parametrize(
    ("options", "client", "spoken"),
    [
        ((), V12, None),
        ((), V13, "TLSv1.3"),
        (("--ssl-protocol-min", "tls1.2"), V12, "TLSv1.2"),
        (("--ssl-protocol-min", "tls1.2"), V13, "TLSv1.3"),
        (("--ssl-protocol-min", "tls1.2", "--ssl-protocol-max", "tls1.2"), V13, None),
        (("--ssl-protocol-min", "tls1.2", "--ssl-protocol-max", "tls1.2"), V12, "TLSv1.2"),
    ],
)
def test_versions(
    server: ServerFactory, files: Files, options: tuple[str, ...], client: ssl.TLSVersion, spoken: str | None
) -> None:
    running = server(APP, "asgi", *files.options, *options)
    made = context(files.authority, version=client)
    if spoken is None:
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            TlsWire(running, made)
    else:
        with TlsWire(running, made) as wire:
            assert wire.socket.version() == spoken
            assert wire.request("POST", "/echo", body=LARGE).response().body == LARGE


def test_ciphers(server: ServerFactory, files: Files) -> None:
    names = ("TLS_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")
    options = [part for name in names for part in ("--ssl-ciphers", name)]
    running = server(APP, "asgi", *files.options, "--ssl-protocol-min", "tls1.2", *options)
    for version, name in ((V13, "TLS_CHACHA20_POLY1305_SHA256"), (V12, "ECDHE-ECDSA-AES256-GCM-SHA384")):
        with TlsWire(running, context(files.authority, version=version)) as wire:
            cipher = wire.socket.cipher()
            assert cipher is not None and cipher[0] == name
    refused = context(files.authority, version=V12)
    refused.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        TlsWire(running, refused)


# Names.


def test_sni_chooses_the_certificate(server: ServerFactory, files: Files) -> None:
    others = {"two": files.authority.issue("two.test", "*.wild.test"), "three": files.authority.issue("three.test")}
    others["rsa"] = files.authority.issue("two.test", key=rsa_key())
    options = [
        part
        for name, each in others.items()
        for part in ("--ssl-sni", ",".join(map(str, each.write(files.folder, name))))
    ]
    running = server(APP, "asgi", *files.options, "--ssl-protocol-min", "tls1.2", *options)
    credentials = {"first": files.credential, **others}

    def shown(host: str, ciphers: str = "ALL") -> str:
        made = context(files.authority, version=V12)
        made.check_hostname = False
        made.set_ciphers(ciphers)
        with TlsWire(running, made, host) as wire:
            found = wire.certificate()
        return next(name for name, each in credentials.items() if ssl.PEM_cert_to_DER_cert(each.pem) == found)

    assert shown("localhost") == "first"
    assert shown("two.test") == "two"
    assert shown("TWO.test") == "two"
    assert shown("a.wild.test") == "two"
    assert shown("a.b.wild.test") == "first"
    assert shown("wild.test") == "first"
    assert shown("three.test") == "three"
    assert shown("unknown.test") == "first"
    assert shown("127.0.0.1") == "first"
    # The host's certificate that the client can verify.
    assert shown("two.test", "aRSA") == "rsa"


# Stop.


def test_stop_with_open_connections(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, fresh=True)
    idle, busy = (TlsWire(running, context(files.authority), abrupt=True) for _ in range(2))
    with idle, busy, plain(running) as handshaking:
        handshaking.sendall(b"\x16")
        assert idle.request("GET", "/").response().status == 200
        busy.request("GET", "/gate")
        running.note("at the gate")
        with TlsWire(running, context(files.authority)) as opener:
            running.terminate()
            assert opener.request("GET", "/open").response().status == 200
        answer = busy.response()
        assert (answer.status, answer.body) == (200, b"through")
        assert handshaking.recv(1) == b""
        # With close_notify: an end without one would raise.
        assert idle.socket.recv(1) == busy.socket.recv(1) == b""
        running.finish()


def test_unix_socket(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, uds=True)
    with TlsWire(running, context(files.authority)) as wire:
        assert json.loads(wire.request("GET", "/tls").response().body)["scheme"] == "https"


def test_paths_may_be_relative(launch: ServerFactory, files: Files, tmp_path: Path) -> None:
    relative = ("--ssl-certificate", files.certificate.name, "--ssl-keyfile", files.key.name)
    env = {"PYTHONPATH": str(Path(__file__).parent.parent / "apps")}
    running = launch(APP, "asgi", *relative, cwd=files.folder, env=env).wait_ready()
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200
    running.stop()
