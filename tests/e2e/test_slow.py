"""Why a request is slow: each reason is told apart by the log alone, while it lasts."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from .server import Server
from .wire import Wire, request_bytes

WATCH = ("--slow-request", "300ms", "--loop-lag", "400ms")
APPS = {
    "asgi": ("slow:asgi", "asginl"),
    "rsgi": ("slow:rsgi", "rsgi"),
    "wsgi": ("slow:wsgi", "wsgi", "--blocking-threads", "1"),
    "wsgi-pool": ("slow:wsgi", "wsgi", "--blocking-threads", "2"),
}
COROUTINES = ["asgi", "rsgi"]


def asked(probe: Server, path: str, *headers: str) -> tuple[Wire, int]:
    """A connection with that request on it, and the place in the log before it."""
    mark = probe.mark()
    wire = probe.connect()
    wire.request("GET", path, *headers)
    return wire, mark


def told(probe: Server, path: str, mark: int) -> str:
    """The words about the request to that path."""
    line = probe.wait_line(rf"\[WARNING\] Slow request: GET {path} from 127\.0\.0\.1:\d+, 0\.\d s so far, (.*)", mark)
    return line[1]


def stack(probe: Server, mark: int, innermost: str) -> list[str]:
    """The functions of the stack behind the mark, down to that one."""
    probe.wait_line(rf", in {innermost}$", mark)
    found = (re.search(r'^  File ".*", line \d+, in (\w+)$', line) for line in probe.lines(mark))
    functions = [match[1] for match in found if match]
    # The stack of another request may stand behind it.
    return functions[: functions.index(innermost) + 1]


@pytest.mark.parametrize(("interface", "loop"), [("asgi", "asyncio"), ("asgi", "uvloop"), ("rsgi", "asyncio")])
def test_a_task_that_waits_for_a_lock(server, interface, loop):
    pytest.importorskip(loop)
    probe: Server = server(*APPS[interface], *WATCH, loop=loop)
    holder, _ = asked(probe, "/hold")
    wire, mark = asked(probe, "/lock")
    assert told(probe, "/lock", mark) == "in the application, whose task waits for a lock"
    assert stack(probe, mark, "acquire")[-3:-1] == ["wait_for_lock", "__aenter__"]
    assert told(probe, "/hold", mark) == "in the application, whose task waits for time to pass"
    assert holder.response().body == wire.response().body == b"done"
    # Each was told of once.
    lines = [line for line in probe.lines(mark) if "Slow request" in line]
    assert len(lines) == 2, lines


@pytest.mark.parametrize("interface", COROUTINES)
def test_a_task_that_waits_for_others(server, interface):
    probe: Server = server(*APPS[interface], *WATCH)
    wire, mark = asked(probe, "/group")
    told(probe, "/group", mark)
    assert stack(probe, mark, "sleep")[-3:] == ["in_group", "nap", "sleep"]
    assert wire.response().body == b"done"


@pytest.mark.parametrize(("interface", "loop"), [("asgi", "asyncio"), ("asgi", "uvloop"), ("rsgi", "asyncio")])
def test_a_blocked_loop(server, interface, loop):
    pytest.importorskip(loop)
    probe: Server = server(*APPS[interface], *WATCH, loop=loop)
    wire, mark = asked(probe, "/block")
    line = probe.wait_line(
        r"The event loop has been blocked for 0\.\d s, in GET /block from 127\.0\.0\.1:\d+ by$", mark
    )
    assert told(probe, "/block", mark) == "in the application, which runs on the event loop's thread" or line
    assert stack(probe, mark, "block")[-2:] == ["blocking", "block"]
    assert wire.response().body == b"done"
    probe.wait_line(r"The event loop goes on after [01]\.\d s$", mark)


@pytest.mark.parametrize("interface", COROUTINES)
def test_a_deadlocked_thread_of_an_executor(server, interface):
    probe: Server = server(*APPS[interface], *WATCH)
    wire, mark = asked(probe, "/thread")
    assert re.fullmatch(r"in the application, whose task waits for thread \w+", told(probe, "/thread", mark))
    assert stack(probe, mark, "deadlock")[-2:] == ["to_thread", "deadlock"]
    probe.wait_line(r"^    HELD\.acquire\(timeout=1\)$", mark)
    assert wire.response().body == b"done"


def test_a_deadlocked_thread_of_wsgi(server):
    probe: Server = server(*APPS["wsgi-pool"], *WATCH)
    wire, mark = asked(probe, "/thread")
    assert told(probe, "/thread", mark) == "in the application, on thread granian-blocking-1"
    assert stack(probe, mark, "deadlock") == ["wsgi", "deadlock"]
    assert wire.response().body == b"done"


def test_a_blocked_loop_of_wsgi(server):
    probe: Server = server(*APPS["wsgi"], *WATCH)
    wire, mark = asked(probe, "/block")
    probe.wait_line(r"The event loop has been blocked for 0\.\d s, in GET /block from", mark)
    assert told(probe, "/block", mark) == "in the application, on the event loop's thread"
    assert stack(probe, mark, "block")[-2:] == ["wsgi", "block"]
    assert wire.response().body == b"done"


@pytest.mark.parametrize("interface", APPS)
def test_a_client_that_does_not_read(server, interface):
    probe: Server = server(*APPS[interface], *WATCH)
    mark = probe.mark()
    wire = probe.connect(receive_buffer=4096)
    wire.request("GET", "/large")
    assert told(probe, "/large", mark) == "in the answer: it waits for the client to take it"
    wire.reset()


@pytest.mark.parametrize("interface", APPS)
def test_a_client_that_does_not_write(server, interface):
    probe: Server = server(*APPS[interface], *WATCH)
    mark = probe.mark()
    wire = probe.connect()
    wire.send(request_bytes("GET", "/body", "Content-Length: 10"))
    assert told(probe, "/body", mark) == "in the body: it waits for the client to send it"
    assert wire.send(b"x" * 10).response().body == b"done"


def test_a_full_queue(server):
    probe: Server = server(*APPS["asgi"], *WATCH, "--backpressure", "1")
    first, mark = asked(probe, "/nap")
    second, _ = asked(probe, "/other")
    assert told(probe, "/other", mark) == "in the queue: it waits for its turn, 2 are in flight"
    assert "whose task waits" in told(probe, "/nap", mark)
    assert first.response().body == second.response().body == b"done"


def test_no_thread_of_wsgi_is_free(server):
    probe: Server = server(*APPS["wsgi-pool"], *WATCH)
    busy = [asked(probe, "/thread") for _ in range(2)]
    wire, mark = asked(probe, "/other")
    assert told(probe, "/other", mark) == "in the queue: it waits for a thread of the application's"
    assert [one.response().body for one, _ in busy] == [b"done"] * 2
    assert wire.response().body == b"done"


@pytest.mark.parametrize("interface", ["asgi", "wsgi-pool"])
def test_all_requests_on_demand(server, interface):
    """Without an option."""
    probe: Server = server(*APPS[interface])
    mark = probe.mark()
    body = probe.connect()
    body.send(request_bytes("GET", "/body?secret=hunter2", "Content-Length: 10", "Authorization: hunter2") + b"hunter2")
    nap, _ = asked(probe, "/nap")
    probe.wait_line("^napping$", mark)
    os.kill(probe.worker, signal.SIGUSR2)
    probe.wait_line(r"\d connections, \d requests in flight$", mark)
    probe.wait_line(r"In flight: GET /body from .* so far, in the body: it waits for the client to send it$", mark)
    probe.wait_line(r"In flight: GET /nap from .* so far, in the application", mark)
    assert nap.response().body == b"done"
    assert body.send(b"xxx").response().body == b"done"
    assert "hunter2" not in probe.log(mark)


def test_as_json(server):
    probe: Server = server(*APPS["asgi"], *WATCH, "--log-format", "json", "--request-id-header", "x-id")
    wire, mark = asked(probe, "/nap", "X-Id: mine-1")
    line = json.loads(probe.wait_line("Slow request", mark).string)
    assert (line["method"], line["path"], line["request_id"], line["waits_in"]) == (
        "GET",
        "/nap",
        "mine-1",
        "application",
    )
    assert 0.3 <= line["age"] < 1
    assert line["client"].startswith("127.0.0.1:")
    assert "in nap" in line["message"]
    assert wire.response().body == b"done"


@pytest.mark.parametrize(("told", "client"), [("203.0.113.7", "203.0.113.7"), ("[2001:db8::1]:99", "[2001:db8::1]:99")])
def test_behind_a_proxy_the_client_is_told_of(server, told, client):
    probe: Server = server(*APPS["asgi"], *WATCH, "--forwarded-allow-ips", "127.0.0.1")
    wire, mark = asked(probe, "/nap", f"X-Forwarded-For: {told}")
    probe.wait_line(rf"Slow request: GET /nap from {re.escape(client)}, 0\.\d s so far", mark)
    assert wire.response().body == b"done"


def test_quick_requests_are_not_told_of(server):
    probe: Server = server(*APPS["asgi"], *WATCH)
    mark = probe.mark()
    for _ in range(100):
        assert probe.get("/").status == 200
    assert "Slow" not in probe.log(mark)
