"""Bytes and habits that no client should have: a status or a close for each, and nothing else suffers."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .oracles import corpus, damaged
from .server import TARGETS, Server
from .wire import Incomplete, Wire, request_bytes

MIB = 1 << 20
GET = request_bytes("GET", "/")
HEAD = "Host: a\r\nX-A: b\r\n"
CHUNKED = f"POST /echo HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n2;x\r\nbo\r\n2\r\ndy\r\n0\r\nT: 1\r\n\r\n"


@pytest.fixture(params=TARGETS)
def probe(request, server) -> Server:
    return server(*TARGETS[request.param])


@pytest.fixture(params=TARGETS)
def own(request, server) -> Server:
    """A server whose memory nothing else has touched."""
    return server(*TARGETS[request.param], fresh=True)


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip("too few file descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def cpu(probe: Server) -> float:
    """Seconds of processor time that the worker has used."""
    fields = Path(f"/proc/{probe.worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def give_up(wire: Wire, data: bytes) -> None:
    """Sends what the server takes of the data, and the end."""
    with suppress(OSError):
        wire.send(data).half_close()


def test_noise(own):
    """Random bytes and requests with damage, for an application that does not look at bodies."""
    # HTTP/2 is another matter, and the probe's validator lets no path be an asterisk.
    files = [data.replace(b"/upload", b"/") for data in corpus().values()]
    files = [data for data in files if b"PRI " not in data and b" * " not in data]
    for seed in range(100):
        own.connect().send(damaged(seed, files)).close()
    mark, before = own.mark(), own.memory()
    wires = []
    for seed in range(600):
        wires.append(own.connect())
        give_up(wires[-1], damaged(seed, files))
    for seed, wire in enumerate(wires):
        with wire:
            answer = wire.rest()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 "), seed
            assert b"HTTP/1.1 500" not in answer, damaged(seed, files)
    assert own.get("/").body == b"hello"
    assert own.memory() - before < 8 * MIB
    own.mark()  # all that was written has been read
    # The validator warns of methods that it does not know.
    assert len([line for line in own.lines(mark) if "warn" not in line.lower()]) <= 1, own.log(mark)


@pytest.mark.parametrize("data", [request_bytes("POST", "/echo", "X-A: b", body=b"body"), CHUNKED.encode()])
def test_every_prefix(probe, data):
    """Cut off anywhere, with the end or with a reset, it is never taken for a request."""
    for leave in (Wire.half_close, Wire.reset):
        wires = [probe.connect().send(data[:at]) for at in range(len(data))]
        for at, wire in enumerate(wires):
            leave(wire)
            if leave is Wire.half_close:
                with wire:
                    assert wire.rest()[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 500"), at
    assert probe.get("/").body == b"hello"


@pytest.mark.parametrize("data", [request_bytes("POST", "/echo", "X-A: b", body=b"body"), CHUNKED.encode()])
def test_every_split(probe, data):
    """First halves are in before any second half goes out, of fewer requests than there are threads."""
    data += GET
    for start in range(1, len(data), 7):
        wires = {at: probe.connect().send(data[:at]) for at in range(start, min(start + 7, len(data)))}
        assert probe.get("/").body == b"hello"
        for at, wire in wires.items():
            wire.send(data[at:])
        for wire in wires.values():
            with wire:
                assert wire.response().body == b"body"
                assert wire.response().body == b"hello"


def test_pipelined_without_end(own):
    """Ten thousand requests at once from a client that begins to read only then."""
    count = 10_000
    own.request("POST", "/echo", body=b"x" * MIB)
    with own.connect() as wire:
        for _ in range(3):
            before = own.memory()
            sender = threading.Thread(target=wire.send, args=(GET * count,), daemon=True)
            sender.start()
            assert own.get("/").body == b"hello"
            for _ in range(count):
                assert wire.response().body == b"hello"
            sender.join()
        assert own.memory() - before < 4 * MIB


def test_deaf_pipelining(own):
    """A client that never reads is not read from for ever."""
    before = own.memory()
    with own.connect(receive_buffer=4096) as wire:
        wire.socket.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += wire.socket.send(GET * 1000)
                assert sent < 64 * MIB
        assert own.memory() - before < 8 * MIB
        assert own.get("/").body == b"hello"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload_that_nobody_reads(own, framing):
    """The answer comes at once; what follows of the body is cut, or thrown away."""
    size, piece = 100 * MIB, b"x" * MIB
    assert own.request("POST", "/", body=piece).body == b"hello"
    before = own.memory()
    peak = 0
    with own.connect() as wire:
        chunked = framing == "chunked"
        wire.request("POST", "/", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}")
        with suppress(OSError):
            for _ in range(size // len(piece)):
                wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                peak = max(peak, own.memory())
            wire.send(b"0\r\n\r\n" if chunked else b"")
        with suppress(Incomplete, ConnectionError):
            assert wire.response().body == b"hello"
    assert peak - before < 8 * MIB
    assert own.get("/").body == b"hello"


def test_many_fields(probe):
    """As many as are allowed, then one more, then far more."""
    assert probe.get("/", *(f"X-{n}: v" for n in range(255))).status == 200
    for count in (256, 5000):
        assert probe.get("/", *(f"X-{n}: v" for n in range(count))).status == 431
    assert probe.get("/", *("Cookie: a=b" for _ in range(255))).status == 200


def test_accept_storm(own):
    """A thousand connections at one blow: all are served, and who was there first is not forgotten."""
    count = 1000
    with descriptors(count + 500), own.connect() as first:
        resource.prlimit(own.worker, resource.RLIMIT_NOFILE, (count + 500, count + 500))
        wires = [own.connect() for _ in range(count)]
        for wire in wires:
            wire.send(GET)
        assert first.send(GET).response().body == b"hello"
        for wire in wires:
            assert wire.response().body == b"hello"
        for wire in wires:
            wire.reset()
        assert first.send(GET).response().body == b"hello"


def test_out_of_descriptors(own):
    """What is open is served, what waits comes in later; one line in the log, and no busy loop."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    mark = own.mark()
    with own.connect() as first:
        assert first.send(GET).response().body == b"hello"
        resource.prlimit(own.worker, resource.RLIMIT_NOFILE, (64, hard))
        wires = [own.connect().send(GET) for _ in range(100)]
        own.wait_line(r"\[WARNING\] Cannot accept connections for now: .*[Tt]oo many open files", mark)
        used, since = cpu(own), time.monotonic()
        while time.monotonic() - since < 1.5:
            assert first.send(GET).response().body == b"hello"
            time.sleep(0.1)
        assert cpu(own) - used < 0.5
        resource.prlimit(own.worker, resource.RLIMIT_NOFILE, (1024, hard))
        for wire in wires:
            with wire:
                assert wire.response().body == b"hello"
    own.mark()  # all that was written has been read
    assert len(own.lines(mark)) == 1, own.log(mark)


def test_slow_heads_hold_up_nobody(server):
    """A byte now and then does not keep a connection; the time is for the whole head."""
    probe = server(*TARGETS["asgi"], "--http1-header-read-timeout", "700")
    wires = [probe.connect() for _ in range(50)]
    started = time.monotonic()
    for at in range(20):
        for wire in wires:
            with suppress(OSError):
                wire.send(GET[at : at + 1])
        assert probe.get("/").body == b"hello"
        time.sleep(0.05)
    for wire in wires:
        with wire:
            assert wire.rest()[:12] in (b"", b"HTTP/1.1 408")
    assert time.monotonic() - started < 3


def test_slow_bodies_hold_no_threads(probe):
    """More requests than there are threads, whose bodies are not there yet."""
    wires = [probe.connect().request("POST", "/echo", "Content-Length: 4").send(b"bo") for _ in range(20)]
    for _ in range(10):
        assert probe.get("/").body == b"hello"
    for wire in wires:
        with wire:
            assert wire.send(b"dy").response().body == b"body"


@pytest.mark.parametrize("framing", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
def test_body_byte_by_byte(own, framing):
    """What is kept of it until somebody reads is about as large as it is."""
    count = 8000
    own.request("POST", "/echo", body=b"x" * MIB)
    before = own.memory()
    with own.connect() as wire:
        wire.request("POST", "/count?gate=bytes", framing)
        for _ in range(count):
            wire.send(b"1\r\nx\r\n" if "chunked" in framing else b"x")
        assert own.get("/").body == b"hello"
        assert own.memory() - before < 2 * MIB
        own.get("/open/bytes")
