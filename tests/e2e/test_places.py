"""Places among the active requests (`--backpressure`): they are the calls', and no peer holds one by doing nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import TARGETS, Server
from .wire import Wire

MIB = 1 << 20
PLACES = 4
INITIAL_WINDOW_SIZE = 4
SUSPENDING = ["asgi", "rsgi", "wsgi-pool"]


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """The connections of the peers that do nothing; closed behind the test."""
    with ExitStack() as stack:
        yield stack


def probe_of(server: ServerFactory, interface: str) -> Server:
    return server(*TARGETS[interface], "--backpressure", str(PLACES))


def is_answered(probe: Server) -> bool:
    """Whether others are, on both protocols."""
    with probe.connect() as wire, H2Wire(probe.address) as multiplexed:
        answers = wire.request("GET", "/").response().body, bytes(multiplexed.request("GET", "/").body)
        return answers == (b"hello", b"hello")


# Peers that read nothing.


@pytest.mark.parametrize("path", ["/", f"/stream?n=8&size={MIB // 16}"])
@pytest.mark.parametrize("interface", TARGETS)
def test_closed_windows_hold_no_place(server, peers, interface, path):
    probe = probe_of(server, interface)
    for _ in range(2):
        wire = peers.enter_context(H2Wire(probe.address, settings={INITIAL_WINDOW_SIZE: 0}))
        numbers = [wire.start("GET", path) for _ in range(2 * PLACES)]
        for number in numbers:
            while not wire.answers[number].headers:
                assert wire.step()
    assert is_answered(probe)


@pytest.mark.parametrize("interface", TARGETS)
def test_full_sockets_hold_no_place(server, peers, interface):
    probe = probe_of(server, interface)
    for _ in range(2 * PLACES):
        wire = peers.enter_context(probe.connect(receive_buffer=65536))
        assert wire.request("GET", f"/stream?n=32&size={MIB}").head().status == 200
    # Connections of which nothing is read at all, whose streams have windows.
    multiplexed = H2Wire(probe.address, settings={INITIAL_WINDOW_SIZE: 2**31 - 1}, receive_buffer=65536)
    peers.enter_context(multiplexed)
    multiplexed.h2.increment_flow_control_window(2**30)
    for _ in range(2 * PLACES):
        multiplexed.start("GET", f"/stream?n=32&size={MIB}")
    assert is_answered(probe)


@pytest.mark.parametrize("interface", TARGETS)
def test_readers_that_come_back_are_served_to_the_end(server, peers, interface):
    probe = probe_of(server, interface)
    slow = [peers.enter_context(probe.connect(receive_buffer=65536)) for _ in range(2 * PLACES)]
    for wire in slow:
        assert wire.request("GET", f"/stream?n=2&size={4 * MIB}").head().status == 200
    assert is_answered(probe)
    for wire in slow:
        assert len(b"".join(iter(wire.chunk, b""))) == 8 * MIB
    assert is_answered(probe)


# Peers that write nothing.


@pytest.mark.parametrize("interface", TARGETS)
def test_silent_bodies_hold_no_place(server, peers, interface):
    probe = probe_of(server, interface)
    silent: list[Wire] = []
    for _ in range(2 * PLACES):
        wire = peers.enter_context(probe.connect())
        wire.request("POST", "/echo", "Expect: 100-continue", "Content-Length: 4")
        assert wire.head().status == 100
        silent.append(wire.send(b"si"))
    multiplexed = peers.enter_context(H2Wire(probe.address))
    numbers = [multiplexed.start("POST", "/echo", end=False) for _ in range(2 * PLACES)]
    for number in numbers:
        multiplexed.data(number, b"si")
    assert is_answered(probe)
    for wire in silent:
        assert wire.send(b"ze").response().body == b"size"
    for number in numbers:
        multiplexed.data(number, b"ze", end=True)
        assert multiplexed.answer(number).body == b"size"
    assert is_answered(probe)


def test_waits_for_the_disconnect_hold_theirs(server, peers):
    """Behind the body's end it is not the peer that the application works for."""
    probe = server(*TARGETS["asgi"], "--backpressure", "1")
    mark = probe.mark()
    watching = peers.enter_context(probe.connect()).request("GET", "/watch?name=place")
    probe.wait_line("@place.started", mark)
    with probe.connect() as other:
        assert other.request("GET", "/").is_silent(0.2)
        watching.close()
        assert other.response().body == b"hello"


# Calls whose peers are gone.


def works(probe: Server, path: Path, mark: int) -> None:
    """Waits until the call for this path runs."""
    probe.wait_line(f'@working "{path.name}"', mark)


def runs(probe: Server, mark: int) -> int:
    """The calls that have been begun since."""
    probe.mark()  # all that was written has been read
    return probe.log(mark).count("@working ")


@pytest.mark.parametrize("interface", SUSPENDING)
def test_a_call_keeps_its_place_when_its_connection_is_lost(server, tmp_path, interface):
    probe = server(*TARGETS[interface], "--backpressure", "1")
    mark, path = probe.mark(), tmp_path / "lost"
    gone = probe.connect().request("GET", f"/work?path={path}")
    works(probe, path, mark)
    gone.reset()
    with probe.connect() as other:
        assert other.request("GET", "/").is_silent(0.2)
        path.touch()
        assert other.response().body == b"hello"


@pytest.mark.parametrize("interface", SUSPENDING)
def test_a_call_keeps_its_place_when_its_stream_is_reset(server, tmp_path, interface):
    """A flood of resets runs no more calls than the others get. One connection gets all places but one."""
    probe = probe_of(server, interface)
    mark, path = probe.mark(), tmp_path / "reset"
    with H2Wire(probe.address) as wire:
        for _ in range(5):
            numbers = [wire.start("GET", f"/work?path={path}") for _ in range(PLACES)]
            works(probe, path, mark)
            assert is_answered(probe)
            for number in numbers:
                wire.h2.reset_stream(number)
            wire.flush()
        assert is_answered(probe)
        assert runs(probe, mark) == PLACES - 1
        path.touch()
        assert wire.request("GET", "/").body == b"hello"


ENDLESS = "/stream?n=1000000000&size=65536&name=left"


@pytest.mark.parametrize("protocol", ["http/1", "http/2"])
@pytest.mark.parametrize(
    ("interface", "path"),
    [("asgi", ENDLESS), ("rsgi", "/endless?name=left"), ("wsgi-pool", ENDLESS), ("wsgi-pool", "/write?name=left")],
)
def test_a_call_that_writes_on_for_nobody_ends(server, protocol, interface, path):
    """RSGI and `write` of WSGI raise, an iterable is closed, a task of ASGI is cancelled: its `send` does neither."""
    options = ["--cancel-on-disconnect"] if interface == "asgi" else []
    probe = server(*TARGETS[interface], "--backpressure", "1", *options)
    mark = probe.mark()
    if protocol == "http/1":
        with probe.connect() as wire:
            assert wire.request("GET", path).head().status == 200
            wire.reset()
    else:
        with H2Wire(probe.address, greedy=False) as multiplexed:
            number = multiplexed.start("GET", path)
            while not multiplexed.answers[number].headers:
                assert multiplexed.step()
            multiplexed.h2.reset_stream(number)
            multiplexed.flush()
            # The connection stays.
            assert bytes(multiplexed.request("GET", "/").body) == b"hello"
    assert probe.get("/").body == b"hello"
    assert "Traceback" not in probe.log(mark)
    if path.startswith("/write"):
        assert probe.note("left", mark) == ["BrokenPipeError", "the client left before its response was complete"]


@pytest.mark.parametrize("interface", SUSPENDING)
def test_one_connection_does_not_get_all_places(server, tmp_path, interface):
    probe = probe_of(server, interface)
    mark, path = probe.mark(), tmp_path / "share"
    with H2Wire(probe.address) as wire:
        numbers = [wire.start("GET", f"/work?path={path}") for _ in range(3 * PLACES)]
        works(probe, path, mark)
        assert is_answered(probe)
        assert runs(probe, mark) == PLACES - 1
        path.touch()
        for number in numbers:
            assert wire.answer(number).body == b"worked"


def test_a_request_whose_client_is_gone_gets_no_thread(server, tmp_path):
    probe = server("wsgi_probe:app", "wsgi", "--blocking-threads", "2")
    mark, path = probe.mark(), tmp_path / "held"
    held = [probe.connect().request("GET", f"/work?path={path}") for _ in range(2)]
    while runs(probe, mark) < 2:
        works(probe, path, mark)
    with H2Wire(probe.address) as wire:
        number = wire.start("GET", f"/work?path={tmp_path / 'stream'}")
        probe.connect().request("GET", f"/work?path={tmp_path / 'connection'}").reset()
        wire.h2.reset_stream(number)
        wire.flush()
        path.touch()
        assert wire.request("GET", "/").body == b"hello"
    for one in held:
        assert one.response().body == b"worked"
    assert runs(probe, mark) == 2
