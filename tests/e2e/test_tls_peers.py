"""Peers of a TLS port that misbehave, vanish, or leave in one direction only."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .server import Server
from .tls import Files, Records, TlsWire, context, plain, port
from .wire import DEADLINE, Incomplete

APP = "tls_apps:asgi"


@pytest.fixture
def secured(server: ServerFactory, files: Files) -> Server:
    return server(APP, "asgi", *files.options)


@pytest.mark.parametrize("more", [b"", b"x" * 200_000], ids=["head", "body"])
@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"PRI * HTTP/2.0", b"OPTIONS * HTTP/1.0"], ids=repr)
def test_plain_http_is_refused_without_harm(secured: Server, files: Files, line: bytes, more: bytes) -> None:
    """A person with a browser, or a probe that lacks an `s`, reads the reason."""
    with plain(secured) as peer:
        peer.sendall(line + b"\r\nHost: localhost\r\n\r\n" + more)
        answer = bytearray()
        while data := peer.recv(1024):
            answer += data
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: text/plain" in head and b"content-length: %d" % len(body) in head
    assert body == b"Plain HTTP was sent to a port that speaks HTTPS only.\n"
    with TlsWire(secured, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200


@pytest.mark.parametrize(
    "garbage", [b"\0" * 512, b"\x16\x03\x01\xff\xff" + b"\1" * 512, b"\x80\x2e\x01\0\2" + b"x" * 64], ids=repr
)
def test_garbage_ends_the_connection(secured: Server, files: Files, garbage: bytes) -> None:
    with plain(secured) as peer:
        try:
            peer.sendall(garbage)
            while peer.recv(1024):
                pass
        except ConnectionError:
            pass
    with TlsWire(secured, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200


def test_handshake_timeout(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, "--ssl-handshake-timeout", "1")
    with plain(running) as silent, plain(running) as slow:
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert silent.recv(1) == b""
        assert slow.recv(1) == b""
    # The time is the handshake's alone.
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.is_silent(1.5)
        assert wire.request("GET", "/").response().status == 200


def test_truncated_handshakes_wedge_nothing(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options)
    hello = client_hello(files)
    peers = []
    try:
        for number in range(300):
            peer = plain(running)
            peers.append(peer)
            peer.sendall(hello[: 1 + number % (len(hello) - 1)])
            if number % 3 == 0:
                peer.close()
        with TlsWire(running, context(files.authority)) as wire:
            assert wire.request("GET", "/").response().body == b"Hello, world!"
    finally:
        for peer in peers:
            peer.close()


def client_hello(files: Files) -> bytes:
    outgoing = ssl.MemoryBIO()
    peer = context(files.authority).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        peer.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_single_bytes(server: ServerFactory, files: Files, version: ssl.TLSVersion) -> None:
    """All that the client says, handshake and request, is sent byte by byte."""
    running = server(APP, "asgi", *files.options, "--ssl-protocol-min", "tls1.2")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context(files.authority, version=version).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with plain(running) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def turn(action: Callable[[], bytes | None]) -> bytes | None:
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        peer.sendall(bytes([byte]))
                    if not (data := peer.recv(65536)):
                        raise Incomplete(b"") from None
                    incoming.write(data)

        turn(session.do_handshake)  # type: ignore[arg-type]
        session.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = b""
        while not received.endswith(b"Hello, world!"):
            received += turn(lambda: session.read(65536)) or b""
        assert received.startswith(b"HTTP/1.1 200")


def test_peer_vanishes_without_close_notify(secured: Server, files: Files) -> None:
    for at in ("/", "/wait"):
        since = secured.mark()
        wire = TlsWire(secured, context(files.authority))
        wire.request("GET", at)
        if at == "/wait":
            secured.note("waits", since)
        # Python closes the socket under the session.
        wire.close()
        if at == "/wait":
            assert secured.note("left", since) == "http.disconnect"


def test_a_body_cut_off_is_not_taken_for_whole(secured: Server, files: Files) -> None:
    """Without close_notify an end may be an attacker's: RFC 8446, 6.1."""
    since = secured.mark()
    wire = TlsWire(secured, context(files.authority))
    wire.send(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    secured.note("waits", since)
    wire.close()
    assert secured.note("left", since) == "http.disconnect"


def test_half_closed(secured: Server, files: Files) -> None:
    """A client that has said close_notify after its request still gets the response (RFC 8446, 6.1)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context(files.authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with plain(secured) as peer:

        def turn(action: str, *arguments: bytes) -> bytes | None:
            while True:
                try:
                    result = getattr(session, action)(*arguments)
                    peer.sendall(outgoing.read())
                    return result  # type: ignore[no-any-return]
                except ssl.SSLWantReadError:
                    peer.sendall(outgoing.read())
                    data = peer.recv(65536)
                    if not data:
                        raise Incomplete(b"") from None
                    incoming.write(data)

        turn("do_handshake")
        session.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        request = outgoing.read()
        with pytest.raises(ssl.SSLWantReadError):
            session.unwrap()
        peer.sendall(request + outgoing.read())
        peer.shutdown(socket.SHUT_WR)
        received = bytearray()
        while data := peer.recv(65536):
            received += data
    # Application data records came after the client's end.
    assert b"\x17\x03\x03" in received
    assert len(received) > 100


def test_half_closed_in_the_handshake(server: ServerFactory, files: Files) -> None:
    """In TLS 1.2 the server's Finished comes behind the client's, which may be the last it says."""
    running = server(APP, "asgi", *files.options, "--ssl-protocol-min", "tls1.2")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context(files.authority, version=ssl.TLSVersion.TLSv1_2)
    session = made.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with plain(running) as peer:
        for _ in range(2):
            with pytest.raises(ssl.SSLWantReadError):
                session.do_handshake()
            while not (words := outgoing.read()):
                incoming.write(peer.recv(65536))
                with pytest.raises(ssl.SSLWantReadError):
                    session.do_handshake()
            peer.sendall(words)
        peer.shutdown(socket.SHUT_WR)
        while data := peer.recv(65536):
            incoming.write(data)
        session.do_handshake()


@pytest.mark.parametrize("is_half_closed", [False, True])
def test_close_notify_is_answered(secured: Server, files: Files, is_half_closed: bool) -> None:
    """> Each party MUST send a "close_notify" alert before closing its write side — RFC 8446, 6.1, whoever is first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context(files.authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with plain(secured) as peer:

        def turn(action: Callable[[], bytes | None]) -> bytes | None:
            while True:
                try:
                    result = action()
                    peer.sendall(outgoing.read())
                    return result
                except ssl.SSLWantReadError:
                    peer.sendall(outgoing.read())
                    if data := peer.recv(65536):
                        incoming.write(data)
                    else:
                        incoming.write_eof()

        turn(session.do_handshake)  # type: ignore[arg-type]
        session.write(b"GET / HTTP/1.0\r\n\r\n")
        request = outgoing.read()
        if is_half_closed:
            with pytest.raises(ssl.SSLWantReadError):
                session.unwrap()
        peer.sendall(request + outgoing.read())
        received = b""
        # An end without close_notify would be an SSLEOFError.
        try:
            while data := turn(lambda: session.read(65536)):
                received += data
        except ssl.SSLZeroReturnError:
            pass  # what OpenSSL makes of a close_notify that follows its own
    assert received.endswith(b"Hello, world!")


def test_close_notify_ends_what_the_server_closes(secured: Server, files: Files) -> None:
    made = context(files.authority)
    with TlsWire(secured, made, abrupt=True) as wire:
        # Without the server's close_notify the end would raise.
        wire.request("GET", "/", "Connection: close")
        assert wire.response().status == 200
        assert wire.socket.recv(1) == b""


def test_renegotiation_is_refused_at_once(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, "--ssl-protocol-min", "tls1.2")
    command = ["openssl", "s_client", "-connect", f"localhost:{port(running)}", "-tls1_2", "-CAfile", str(files.ca)]
    done = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=DEADLINE)
    assert "RENEGOTIATING" in done.stdout + done.stderr
    assert "no renegotiation" in done.stderr


def test_records_without_data_hold_up_nobody(secured: Server, files: Files, tmp_path: Path) -> None:
    made = context(files.authority)
    made.keylog_filename = str(tmp_path / "secrets")
    with TlsWire(secured, made) as wire:
        client = Records.of(tmp_path / "secrets")
        # rustls counts either kind by itself, and begins anew after the other one.
        flood = b"".join(client.record(b"") + client.key_update() for _ in range(20_000))
        last = client.record(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with socket.socket(fileno=wire.socket.detach()) as peer, TlsWire(secured, context(files.authority)) as other:
            peer.settimeout(DEADLINE)

            def exchange() -> None:
                peer.sendall(flood + last)
                while peer.recv(65536):
                    pass

            flooding = threading.Thread(target=exchange)
            flooding.start()
            answers = 0
            while flooding.is_alive():
                assert other.request("GET", "/").response().status == 200
                answers += 1
    # There are a dozen turns and more in a MiB of records.
    assert answers > 2
