"""`receive()` and `send()` behave as coroutines do, in a Task as asyncio makes them."""

from __future__ import annotations

import sys

import pytest

from .server import Server
from .wire import request_bytes


@pytest.fixture
def probe(server, loop) -> Server:
    return server("awaitables:app", "asginl", loop=loop)


ECHOES = [
    "create_task",
    "gather",
    "wait_for",
    "ensure_future",
    "shield",
    "awaitable",
    "timeout",
    "timeout_around_everything",
    "never_awaited",
    "cancelled_receive",
    "cancel_scope",
    "task_group",
    "worker_thread",
    "from_another_thread",
]


@pytest.mark.parametrize("name", ECHOES)
def test_check(probe, name):
    for body in (b"", b"body"):
        with probe.connect() as wire:
            for _ in range(3):
                response = wire.request("POST", f"/{name}", body=body).response()
                assert (response.status, response.body) == (200, body)


def test_send_never_awaited(probe):
    response = probe.request("POST", "/send_never_awaited", body=b"body")
    assert response.status == 200
    assert response.body in (b"body", b"body!")


def test_never_awaited_calls_do_no_harm_at_the_stop(server, loop):
    own = server("awaitables:app", "asginl", loop=loop, fresh=True)
    for name in ("never_awaited", "send_never_awaited", "after_return"):
        assert own.request("POST", f"/{name}", body=b"x").status == 200
    own.stop()
    assert "panicked" not in own.log()
    assert "never retrieved" not in own.log()


def test_concurrent_sends_keep_their_order(probe):
    assert probe.get("/concurrent_sends").body == b"01234"


def test_current_task_is_a_task(probe):
    assert probe.get("/current_task").body == b"True"


def test_loop_is_the_one_asked_for(probe):
    module = probe.get("/loop").text
    assert module.startswith("uvloop" if probe.spec.loop == "uvloop" else "asyncio")


def test_context_is_the_request_s_own(probe):
    for _ in range(5):
        check_contexts(probe)


def test_context_is_the_request_s_own_over_rsgi(server, loop):
    probe = server("rsgi_probe:app", "rsgi", loop=loop)
    for _ in range(5):
        check_contexts(probe)


def check_contexts(probe: Server) -> None:
    """Requests behind and beside each other, each of which sets the variable and waits."""
    with probe.connect() as wire:
        wire.send(b"".join(request_bytes("GET", f"/context?{n}") for n in range(10)))
        for n in range(10):
            assert wire.response().text == f"unset {n} {n}"
    wires = [probe.connect().request("GET", f"/context?{n}") for n in range(20)]
    for n, wire in enumerate(wires):
        assert wire.response().text == f"unset {n} {n}"
        wire.close()


def test_context_token_survives_a_wait(probe):
    assert probe.get("/context_reset").body == b"unset"


def test_worker_threads_are_reused(probe):
    """anyio keeps its threads for the life of the loop's main task."""
    mark = probe.mark()
    for _ in range(10):
        assert probe.get("/worker_thread").status == 200
    probe.mark()  # all that was written has been read
    threads = {line for line in probe.lines(mark) if line.startswith("@thread")}
    assert len(threads) == 1


def test_background_task_outlives_its_request(probe):
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.request("GET", "/after_return").response().status == 200
        assert probe.note("later", mark) == "http.disconnect"


def test_exception_group(probe):
    mark = probe.mark()
    assert probe.get("/exception_group").status == 500
    probe.wait_line("ValueError: in a group", mark)
    if sys.version_info >= (3, 11):
        probe.wait_line("ExceptionGroup: unhandled errors in a TaskGroup", mark)
