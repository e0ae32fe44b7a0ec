"""Memory stays flat under load, and an idle connection costs next to nothing."""

from __future__ import annotations

import resource
import time
from contextlib import ExitStack
from pathlib import Path

import h2.settings
import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server
from .tls import Files, context
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
    """A sample may have a body that is still there, or not given back to the system yet; all of them have a leak."""
    probe: Server = server(*TARGETS[interface], fresh=True)
    body = b"x" * (16 * MIB)

    def sample() -> int:
        assert len(probe.request("POST", "/echo", body=body).body) == len(body)
        return probe.memory()

    # The allocator keeps a freed body now and then, as it may all the time later.
    before = max(sample() for _ in range(20))
    for _ in range(20):
        sample()
    assert min(sample() for _ in range(5)) - before < 8 * MIB


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


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_slow_downloads_over_http2_are_small(server, tmp_path, secure):
    """What the socket of a client that reads nothing has no room for stays on the disk."""
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(64 * MIB)
    files = Files.make(tmp_path) if secure else None
    identity = ("--ssl-certificate", str(files.certificate), "--ssl-keyfile", str(files.key)) if files else ()
    mount = ("--static-path-mount", str(tmp_path))
    probe: Server = server(*TARGETS["asgi"], *mount, *identity, fresh=True)
    count = 30
    with ExitStack() as wires:

        def download() -> None:
            wire = H2Wire(
                probe.address,
                context=context(files.authority, alpn=("h2",)) if files else None,
                settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 64 * MIB},
                greedy=False,
                receive_buffer=4096,
            )
            wires.enter_context(wire)
            wire.h2.increment_flow_control_window(64 * MIB)
            number = wire.start("GET", "/static/large.bin")
            while not wire.answers[number].headers:
                assert wire.step()

        for _ in range(5):
            download()
        before = settled(probe)
        for _ in range(count):
            download()
        assert settled(probe) - before < count * 64 * 1024 + 2 * MIB


def settled(probe: Server) -> int:
    """Resident bytes of the worker once it has nothing more to do."""
    stat = Path(f"/proc/{probe.worker}/stat")
    times: list[list[str]] = []
    while len(times) < 6 or times[-1] != times[-6]:
        times.append(stat.read_text().rpartition(")")[2].split()[11:13])
        time.sleep(0.05)
    return probe.memory()
