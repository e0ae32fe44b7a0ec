"""Session tickets: what one worker has sealed every other one opens, for as long as it lives, and no longer."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from .clock import Clock
from .conftest import ServerFactory
from .server import Server
from .tls import Files, TlsWire, context, plain

# What docs/tls.md promises.
LIFE = 6 * 60 * 60


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_keys_change_under_all_workers(server: ServerFactory, tmp_path: Path, version: ssl.TLSVersion) -> None:
    files, clock = Files.make(tmp_path), Clock(tmp_path)
    begun = clock.set_phase(LIFE, LIFE // 2)
    options = ("--workers", "2", "--ssl-protocol-min", "tls1.2")
    running = server("tls_apps:asgi", "asgi", *files.options, *options, env=clock.env, fresh=True)
    made = context(files.authority, version=version)
    first = session_of(running, made)
    assert resumed_by(running, made, first) == {True}
    clock.set_ahead(begun + LIFE)
    assert resumed_by(running, made, first) == {True}
    second = session_of(running, made)
    clock.set_ahead(begun + 2 * LIFE)
    assert resumed_by(running, made, first) == {False}
    assert resumed_by(running, made, second) == {True}


def test_a_ticket_comes_before_the_request(server: ServerFactory, tmp_path: Path) -> None:
    """It acknowledges the client's last words, which Nagle's algorithm waits for before it lets the request go."""
    files = Files.make(tmp_path)
    running = server("tls_apps:asgi", "asgi", *files.options)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context(files.authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with plain(running) as peer:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                peer.sendall(outgoing.read())
                incoming.write(peer.recv(65536))
        assert incoming.pending == 0
        peer.sendall(outgoing.read())
        assert peer.recv(65536)


def session_of(server: Server, made: ssl.SSLContext) -> ssl.SSLSession | None:
    with TlsWire(server, made) as wire:
        assert wire.request("GET", "/").response().status == 200
        assert not wire.socket.session_reused
        return wire.session


def resumed_by(server: Server, made: ssl.SSLContext, session: ssl.SSLSession | None) -> set[bool | None]:
    """Whether it is resumed, by each of the two workers."""
    reused: dict[str, bool | None] = {}
    while len(reused) < 2:
        with TlsWire(server, made, session=session) as wire:
            worker = wire.request("GET", "/pid").response().text
            reused[worker] = wire.socket.session_reused
    return set(reused.values())
