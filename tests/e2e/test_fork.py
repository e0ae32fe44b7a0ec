"""Applications that fork: what a child inherits is no longer this server's business."""

from __future__ import annotations

import platform
import sys
import time

import pytest

from .server import Server
from .wire import request_bytes


@pytest.fixture
def forking(server) -> Server:
    probe = server(
        "forked:app", "asginl", "--keep-alive-timeout", "500ms", "--http1-header-read-timeout", "500", fresh=True
    )
    yield probe
    assert probe.get("/reap").body == b"reaped"


def wait_descriptors(probe: Server, count: int) -> None:
    deadline = time.monotonic() + 10
    while int(probe.get("/descriptors").body) > count:
        assert time.monotonic() < deadline


UNSEEN = pytest.param(
    "clone",
    marks=pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="a system call by its number"
    ),
)


@pytest.mark.parametrize("start", ["fork", UNSEEN])
def test_inherited_sockets_tell_no_other_connection(forking, start):
    """The child keeps the socket open behind the server's back; what happens on it then must not
    be taken for something that happens on the connections that came after it."""
    before = int(forking.get("/descriptors").body)
    old = [forking.connect() for _ in range(8)]
    for wire in old:
        assert wire.request("GET", "/descriptors").response().status == 200
    assert int(forking.get(f"/{start}").body) > 0
    wait_descriptors(forking, before + 2)  # they were idle for too long; the pipe is new
    if start == "fork":
        assert [wire.rest() for wire in old] == [b""] * 8
    mark = forking.mark()
    new = [forking.connect().request("GET", f"/new{n}") for n in range(8)]
    for n, wire in enumerate(new):
        # More than is read ahead: from here on only the poller's word tells that a client has left.
        wire.send(request_bytes("GET", "/descriptors") * 1000)
        forking.note(f"new{n}.started", mark)
    for wire in old:
        wire.half_close()
    assert forking.get("/open").body == b"open"
    assert [wire.response().body for wire in new] == [b"stayed"] * 8


def test_a_connection_ends_though_a_child_has_it(forking):
    """Closing a descriptor that another process holds as well ends nothing."""
    with forking.connect() as wire:
        assert int(wire.request("GET", "/fork", "Connection: close").response().body) > 0
        assert wire.rest() == b""
