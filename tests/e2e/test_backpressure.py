"""Slow peers: what they keep waiting, and what they must not."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server, script
from .wire import Wire, request_bytes

MIB = 1 << 20
TOTAL = 64 * MIB
# The most that the kernel's buffers and the server's window may hold.
HELD = 16 * MIB
MEMORY = 32 * MIB
INITIAL_WINDOW_SIZE = 4


def settled(value: Callable[[], int]) -> int:
    """The value once it has stood still for a while."""
    last, since = value(), time.monotonic()
    deadline = since + 20
    while time.monotonic() - since < 0.4:
        assert time.monotonic() < deadline, f"still moving: {last}"
        if (now := value()) != last:
            last, since = now, time.monotonic()
    return last


@pytest.mark.parametrize("size", [MIB, MIB // 16])
@pytest.mark.parametrize("interface", TARGETS)
def test_slow_reader_stops_the_application(server, interface, size):
    probe: Server = server(*TARGETS[interface])
    name = f"slow{size}"
    before = probe.memory()
    with probe.connect(receive_buffer=65536) as wire:
        wire.request("GET", f"/stream?n={TOTAL // size}&size={size}&name={name}")
        sent = settled(lambda: int(probe.get(f"/progress?name={name}").body)) * size
        assert 0 < sent < HELD
        assert probe.memory() - before < MEMORY
        body = wire.response().body
    assert len(body) == TOTAL
    assert body[:1] == b"a"
    assert body[size - 1 : size + 1] == b"ab"


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_pieces_of_one_byte_count_for_what_they_take(server, interface):
    """The window is 64 KiB, and each of them takes more than a hundred bytes of memory."""
    probe: Server = server(*TARGETS[interface])
    with H2Wire(probe.address, settings={INITIAL_WINDOW_SIZE: 0}) as wire:
        wire.start("GET", f"/stream?n=3000&size=1&name=one-{interface}")
        assert 100 < settled(lambda: int(probe.get(f"/progress?name=one-{interface}").body)) < 650


def push(wire: Wire, size: int) -> int:
    """Sends up to `size` bytes for as long as the server takes them."""
    wire.socket.setblocking(False)
    sent, piece = 0, b"x" * 65536
    while sent < size and select.select([], [wire.socket], [], 0.4)[1]:
        sent += wire.socket.send(piece[: size - sent])
    wire.socket.settimeout(20)
    return sent


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi-pool"])
def test_upload_waits_for_the_application(server, interface):
    probe: Server = server(*TARGETS[interface])
    before = probe.memory()
    with probe.connect() as wire:
        wire.request("POST", f"/count?gate=upload-{interface}", f"Content-Length: {TOTAL}")
        sent = push(wire, TOTAL)
        assert 0 < sent < HELD
        assert probe.memory() - before < MEMORY
        probe.get(f"/open/upload-{interface}")
        wire.send(b"x" * (TOTAL - sent))
        assert wire.response().body == str(TOTAL).encode()
        assert wire.request("GET", "/").response().body == b"hello"


def test_fast_reader_is_not_slowed_down(server):
    probe: Server = server(*TARGETS["asgi"])
    with probe.connect() as wire:
        assert len(wire.request("GET", f"/stream?n=64&size={MIB}&length=1").response().body) == TOTAL


def test_slow_readers_do_not_hold_up_others(server):
    probe: Server = server(*TARGETS["wsgi"])
    wires = [probe.connect(receive_buffer=65536) for _ in range(5)]
    for wire in wires:
        wire.request("GET", f"/stream?n=32&size={MIB}")
        assert wire.head().status == 200
    assert probe.get("/").body == b"hello"
    for wire in wires:
        wire.close()


def test_open_streams_leave_the_other_threads_free(server):
    probe: Server = server(*TARGETS["wsgi-pool"])
    with probe.connect() as stream:
        stream.request("GET", "/gated?gate=threads")
        assert stream.head().status == 200
        assert stream.chunk() == b"first"
        for _ in range(30):
            assert probe.get("/").body == b"hello"
        probe.get("/open/threads")
        assert stream.chunk() == b"last"


def test_pool_serves_as_many_as_it_has_threads(server):
    probe: Server = server(*TARGETS["wsgi-pool"])
    mark = probe.mark()
    wires = [probe.connect().request("GET", f"/wait?gate=pool{n}") for n in range(7)]
    for n in range(7):
        probe.wait_line(f'@waiting "pool{n}"', mark)
    for n, wire in enumerate(wires):
        assert probe.get(f"/open/pool{n}").body == b"open"
        with wire:
            assert wire.response().body == f"pool{n}".encode()


def test_requests_beyond_the_threads_wait_their_turn(server):
    probe: Server = server(*TARGETS["wsgi-pool"])
    wires = [probe.connect().request("GET", "/") for _ in range(100)]
    for wire in wires:
        with wire:
            assert wire.response().body == b"hello"


@pytest.mark.alone
@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi-pool"])
def test_idle_connections_do_not_count(server, interface):
    probe: Server = server(*TARGETS[interface], "--backpressure", "2")
    silent = [probe.connect() for _ in range(5)]
    idle = [probe.connect() for _ in range(5)]
    for wire in idle:
        assert wire.request("GET", "/").response().body == b"hello"
    started = time.monotonic()
    assert probe.get("/").body == b"hello"
    assert time.monotonic() - started < 0.5
    for wire in idle:
        assert wire.request("GET", "/").response().body == b"hello"
    for wire in silent + idle:
        wire.close()


def test_running_requests_count(server, tmp_path):
    probe: Server = server(*TARGETS["asgi"], "--backpressure", "2")
    mark = probe.mark()
    first, second, third = (probe.connect() for _ in range(3))
    with first, second, third:
        for wire, name in ((first, "first"), (second, "second")):
            wire.request("GET", f"/work?path={tmp_path / name}")
            probe.wait_line(f'@working "{name}"', mark)
        third.request("GET", "/")
        assert third.is_silent(0.3)
        (tmp_path / "first").touch()
        assert first.response().body == b"worked"
        assert third.response().body == b"hello"
        (tmp_path / "second").touch()
        assert second.response().body == b"worked"


@pytest.mark.parametrize("interface", TARGETS)
def test_request_behind_a_large_response_to_a_slow_reader(server, interface):
    probe = server(*TARGETS[interface])
    size = 8 * MIB
    with probe.connect(receive_buffer=65536) as wire:
        wire.send(request_bytes("GET", f"/stream?n=1&size={size}") + request_bytes("GET", "/"))
        assert wire.head().status == 200
        time.sleep(0.3)
        assert len(b"".join(iter(wire.chunk, b""))) == size
        assert wire.exactly(2) == b"\r\n"
        assert wire.response().body == b"hello"


def test_body_is_read_while_the_peer_does_not(server):
    """A response that the peer does not take holds up only whoever sends it."""
    probe = server(*TARGETS["asgi"])
    mark = probe.mark()
    steps = (
        "await start()",
        f"kept.append(asyncio.ensure_future(send({{'type': 'http.response.body', 'body': bytes({TOTAL}), "
        "'more_body': True})))",
        "size = 0\nmore = True\nwhile more:\n  message = await receive()\n  size += len(message['body'])\n"
        "  more = message['more_body']\nnote('read', size)",
        "kept.pop().cancel()",
    )
    with probe.connect(receive_buffer=65536) as wire:
        wire.request("POST", "/script", script(*steps), body=bytes(4 * MIB))
        assert probe.note("read", mark) == 4 * MIB


@pytest.mark.parametrize("unread", [b"", b"\r\n"])
def test_slow_reader_is_not_idle(server, unread):
    """The time for the next request begins when the response has left."""
    probe = server(*TARGETS["asgi"], "--keep-alive-timeout", "700ms")
    with probe.connect(receive_buffer=65536) as wire:
        wire.request("GET", f"/stream?n=1&size={16 * MIB}").send(unread)
        time.sleep(1.5)
        response = wire.response()
        assert len(response.body) == 16 * MIB
        if not unread:
            assert wire.request("GET", "/").response().body == b"hello"


def test_pipelined_files_are_opened_one_at_a_time(server, tmp_path):
    probe = server(*TARGETS["asgi"])
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
    count = len(list(Path(f"/proc/{probe.worker}/fd").iterdir()))
    with probe.connect(receive_buffer=65536) as wire:
        wire.send(request_bytes("GET", f"/file?path={path}") * 100)
        assert wire.head().status == 200
        more = settled(lambda: len(list(Path(f"/proc/{probe.worker}/fd").iterdir()))) - count
        assert more < 10


def test_places_are_given_in_the_order_of_arrival(server, tmp_path):
    probe = server(*TARGETS["asgi"], "--backpressure", "1")
    one, two = (request_bytes("GET", f"/work?path={tmp_path / name}") for name in ("one", "two"))
    mark = probe.mark()
    with probe.connect() as first, probe.connect() as second:
        # The first one's next request is there before its response has left, and is at once ready
        # to start. The second one has waited since before that.
        first.send(one)
        probe.wait_line('@working "one"', mark)
        assert second.request("GET", "/").is_silent(0.3)
        first.send(two)
        (tmp_path / "one").touch()
        assert first.response().body == b"worked"
        # The first one's next call does not end before this.
        assert second.response().body == b"hello"
        (tmp_path / "two").touch()
        assert first.response().body == b"worked"


def test_application_is_not_called_for_a_peer_that_is_gone(server, tmp_path):
    probe = server("asgi_probe:app", "asginl", "--backpressure", "1")
    mark, path = probe.mark(), tmp_path / "work"
    with probe.connect() as first, probe.connect() as second, probe.connect() as third:
        first.request("GET", f"/work?path={path}")
        probe.wait_line("@working", mark)
        second.request("GET", "/watch?name=gone")
        assert third.request("GET", "/").is_silent(0.1)
        second.reset()
        assert third.is_silent(0.1)
        path.touch()
        assert first.response().body == b"worked"
        assert third.response().body == b"hello"
    probe.mark()  # all that was written has been read
    assert "@gone.started" not in probe.log(mark)


def test_place_of_a_peer_that_left_the_line_goes_to_the_next(server, tmp_path):
    probe = server("asgi_probe:app", "asginl", "--backpressure", "1")
    mark, path = probe.mark(), tmp_path / "work"
    with probe.connect() as first, probe.connect() as second, probe.connect() as third:
        first.request("GET", f"/work?path={path}")
        probe.wait_line("@working", mark)
        second.request("GET", "/").reset()
        third.request("GET", "/")
        path.touch()
        assert first.response().body == b"worked"
        assert third.response().body == b"hello"
