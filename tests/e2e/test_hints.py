"""Early hints and pushes to a peer that does not read: their application waits, or is told."""

from __future__ import annotations

import pytest

from .h2wire import H2Wire
from .server import Server, script
from .test_backpressure import settled

MIB = 1 << 20
TARGETS = {"asgi": ("asgi_probe:app", "asginl"), "rsgi": ("rsgi_probe:app", "rsgi")}
# Hints of a kilobyte: more than the buffers of the kernel, the server's window and Python's garbage hold.
COUNT = 12_000
MEMORY = 8 * MIB


@pytest.fixture(params=TARGETS)
def probe(request, server) -> Server:
    return server(*TARGETS[request.param])


def check_waiting(probe: Server, before: int, *names: str) -> None:
    """The applications have got stuck early, and the server has not kept what they made."""
    made: dict[str, int] = {}

    def total() -> int:
        made.update((name, int(probe.get(f"/progress?name={name}").body)) for name in names)
        return sum(made.values())

    settled(total)
    assert all(0 < count < COUNT for count in made.values()), made
    assert probe.memory() - before < MEMORY


def test_hints_wait_for_the_peer_over_http1(probe):
    before = probe.memory()
    with probe.connect(receive_buffer=65536) as wire:
        wire.request("GET", f"/hints?n={COUNT}&name=hints1")
        check_waiting(probe, before, "hints1")
        response = wire.response()
    assert response.body == b"hinted"
    assert len(response.informational) == COUNT
    assert (response.informational[-1].header("link") or "").startswith(f"</{COUNT - 1}.css>")


def test_hints_wait_for_the_peer_over_http2(probe):
    before = probe.memory()
    with H2Wire(probe.address, receive_buffer=65536) as wire:
        number = wire.start("GET", f"/hints?n={COUNT}&name=hints2")
        check_waiting(probe, before, "hints2")
        answer = wire.answer(number)
    assert answer.body == b"hinted"
    assert len(answer.informational) == COUNT


def test_hints_of_many_streams_wait_for_the_peer(probe):
    before = probe.memory()
    with H2Wire(probe.address, receive_buffer=65536) as wire:
        for number in range(20):
            wire.start("GET", f"/hints?n={COUNT}&name=many{number}")
        check_waiting(probe, before, *(f"many{number}" for number in range(20)))
    assert probe.get("/").body == b"hello"


def test_application_that_waits_with_hints_ends_with_its_peer(probe):
    mark = probe.mark()
    with probe.connect(receive_buffer=65536) as wire:
        wire.request("GET", f"/hints?n={COUNT}&name=left")
        settled(lambda: int(probe.get("/progress?name=left").body))
        wire.reset()
    probe.wait_line("@hinted", mark)


UNAWAITED = {
    "early_hints": ("early_hints(['</a.css>; rel=preload'])", "early hints"),
    "push": ("push('/')", "pushes"),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("method", UNAWAITED)
def test_rsgi_calls_that_nobody_awaits_are_refused_in_the_end(server, method, version):
    """They return at once, so that an application which never awaits could fill the memory."""
    probe: Server = server(*TARGETS["rsgi"])
    call, what = UNAWAITED[method]
    mark = probe.mark()
    steps = [f"for n in range(100_000): protocol.{call}", "protocol.response_str(200, [], 'hinted')"]
    if version == 1:
        response = probe.get("/script", script(*steps))
        assert (response.status, response.body) == (200, b"hinted")
    else:
        name, _, value = script(*steps).partition(": ")
        with H2Wire(probe.address, settings={2: 0}) as wire:
            assert wire.request("GET", "/script", (name, value)).body == b"hinted"
    outcomes = probe.note("script", mark)
    assert outcomes == [f"ProtocolError: too many {what} wait for the client: await them", "ok"]
