"""The plain port beside a secured one: clients are sent to the same target over https."""

from __future__ import annotations

import signal
import subprocess

import pytest

from .conftest import ServerFactory
from .server import Server
from .tls import Files, TlsWire, context, port
from .wire import Response, Wire

APP = "tls_apps:asgi"


@pytest.fixture
def running(server: ServerFactory, files: Files) -> Server:
    return server(APP, "asgi", *files.options, "--ssl-redirect-port", "0")


def connect(running: Server) -> Wire:
    line = running.wait_line(r"Redirecting to https at: http://127\.0\.0\.1:(\d+)$")
    return Wire(("127.0.0.1", int(line[1])))


def ask(running: Server, request: str) -> Response:
    with connect(running) as wire:
        return wire.send(request.encode("latin-1")).response(request.split(" ", 1)[0])


@pytest.mark.parametrize(
    ("target", "host", "location"),
    [
        ("/", "example.test", "https://example.test:PORT/"),
        ("/x?q", "example.test:80", "https://example.test:PORT/x?q"),
        ("/a%20b/%2F?q=1&r=%C3%A4", "example.test:80", "https://example.test:PORT/a%20b/%2F?q=1&r=%C3%A4"),
        ("/?", "EXAMPLE.test", "https://EXAMPLE.test:PORT/"),
        ("//evil.test/x", "example.test", "https://example.test:PORT//evil.test/x"),
        ("/", "127.0.0.1:8000", "https://127.0.0.1:PORT/"),
        ("/", "[::1]:8000", "https://[::1]:PORT/"),
        ("http://other.test:81/x?y", "example.test", "https://other.test:PORT/x?y"),
    ],
)
def test_location(running: Server, target: str, host: str, location: str) -> None:
    answer = ask(running, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    assert answer.status == 308
    assert answer.header("location") == location.replace("PORT", str(port(running)))
    assert answer.header("content-length") == "0"


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n",
        "GET / HTTP/1.1\r\nHost: a.test/evil\r\n",
        "GET / HTTP/1.1\r\nHost: user@a.test\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:http\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:123456\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n",
        "GET / HTTP/1.1\r\nHost: [::zz]\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]x\r\n",
        "GET / HTTP/1.1\r\nHost: a'(b)\r\n",
        f"GET / HTTP/1.1\r\nHost: {'a' * 300}\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n",
    ],
    ids=repr,
)
def test_nonsense_is_refused(running: Server, head: str) -> None:
    answer = ask(running, head + "\r\n")
    assert answer.status == 400
    assert answer.header("location") is None


def test_methods_bodies_and_connections(running: Server) -> None:
    with connect(running) as wire:
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = wire.request(method, "/x", body=b"body" if method == "POST" else b"").response(method)
            assert answer.status == 308
            assert answer.header("location") == f"https://localhost:{port(running)}/x"


def test_an_upgrade_is_redirected_too(running: Server) -> None:
    answer = ask(
        running,
        "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    assert answer.status == 308


def test_curl_follows(running: Server, files: Files) -> None:
    with connect(running) as wire:
        plain = wire.socket.getpeername()[1]
    command = ["curl", "-sS", "--cacert", str(files.ca), "-L", "--data-binary", "@-"]
    done = subprocess.run([*command, f"http://localhost:{plain}/echo"], input=b"body", capture_output=True)
    assert done.stdout == b"body", done.stderr


def test_public_port(server: ServerFactory, files: Files) -> None:
    for public, shown in (("443", "https://localhost/x"), ("8443", "https://localhost:8443/x")):
        more = ("--ssl-redirect-port", "0", "--ssl-redirect-to-port", public)
        running = server(APP, "asgi", *files.options, *more)
        with connect(running) as wire:
            assert wire.request("GET", "/x").response().header("location") == shown


def test_workers_that_follow_redirect_too(server: ServerFactory, files: Files) -> None:
    more = ("--ssl-redirect-port", "0", "--workers", "2")
    running = server(APP, "asgi", *files.options, *more, fresh=True)
    running.wait_line("Started worker-2")
    running.process.send_signal(signal.SIGHUP)
    running.wait_line(r"Stopped old worker-2")
    for _ in range(8):
        with connect(running) as wire:
            assert wire.request("GET", "/").response().status == 308
        with TlsWire(running, context(files.authority)) as wire:
            assert wire.request("GET", "/").response().status == 200


def test_stop_with_open_connections(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, "--ssl-redirect-port", "0", fresh=True)
    with connect(running) as wire:
        assert wire.request("GET", "/").response().status == 308
        running.terminate()
        assert wire.rest() == b""
        running.finish()
