"""Memory stays flat under load, and an idle connection costs next to nothing."""

from __future__ import annotations

import resource

import pytest

from .server import TARGETS, Server
from .wire import request_bytes

MIB = 1 << 20
GET = request_bytes("GET", "/")
# They make tens of thousands of requests.
pytestmark = pytest.mark.timeout(180)
BATCH = 200


def load(probe: Server, requests: int, connections: int) -> None:
    """Pipelined requests on one connection, then connections with one request each."""
    with probe.connect() as wire:
        wire.send(GET)
        wire.response()
        for _ in range(requests // BATCH):
            wire.send(GET * BATCH)
            for _ in range(BATCH):
                assert wire.response().body == b"hello"
    for number in range(connections):
        with probe.connect() as wire:
            wire.send(GET)
            if number % 4:
                assert wire.response().body == b"hello"


@pytest.mark.parametrize("interface", TARGETS)
def test_no_growth_under_load(server, interface):
    probe: Server = server(*TARGETS[interface], fresh=True)
    load(probe, 10_000, 1000)
    before = probe.memory()
    load(probe, 30_000, 3000)
    assert probe.memory() - before < 2 * MIB


@pytest.mark.parametrize("interface", TARGETS)
def test_no_growth_with_uploads(server, interface):
    probe: Server = server(*TARGETS[interface], fresh=True)
    body = b"x" * (16 * MIB)
    for _ in range(5):
        assert len(probe.request("POST", "/echo", body=body).body) == len(body)
    before = probe.memory()
    for _ in range(5):
        assert len(probe.request("POST", "/echo", body=body).body) == len(body)
    assert probe.memory() - before < 8 * MIB


def test_idle_connections_are_small(server):
    """At most 2 KiB each, and the steps of some megabytes in which tables and arenas grow."""
    count = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 500:
        pytest.skip("too few file descriptors")
    probe: Server = server(*TARGETS["asgi"], "--backpressure", str(count * 2), fresh=True)
    load(probe, 2000, 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    resource.prlimit(probe.worker, resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    wires = []
    try:
        before = probe.memory()
        for _ in range(count):
            wires.append(probe.connect().send(GET))
            assert wires[-1].response().body == b"hello"
        assert probe.memory() - before < count * 2048 + 4 * MIB
    finally:
        for wire in wires:
            wire.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_running_out_of_descriptors_is_survived(server):
    probe: Server = server(*TARGETS["asgi"], fresh=True)
    mark = probe.mark()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(probe.worker, resource.RLIMIT_NOFILE, (64, hard))
    wires = [probe.connect().send(GET) for _ in range(100)]
    assert wires[0].response().body == b"hello"
    for wire in wires:
        wire.close()
    assert probe.get("/").body == b"hello"
    assert len(probe.lines(mark)) < 20
