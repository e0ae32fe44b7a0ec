"""The threads of a WSGI worker with default options: few for quick calls, many for calls that wait."""

from __future__ import annotations

import threading
import time

import pytest

from .server import Server

# Seconds: an idle machine needs a tenth of it, a call that holds others up takes one.
HELD_UP = 0.1


def at_once(app: Server, path: str, count: int) -> float:
    """Asks for `path` so often at once; the seconds until the last answer."""
    wires = [app.connect() for _ in range(count)]
    begin = time.monotonic()
    for wire in wires:
        wire.request("GET", path)
    for wire in wires:
        assert wire.response().status == 200
    return time.monotonic() - begin


def quick_times(app: Server, until: threading.Event) -> list[float]:
    """How long quick requests take, one after another, until the event."""
    times = []
    with app.connect() as wire:
        while not until.is_set():
            begin = time.monotonic()
            assert wire.request("GET", "/").response().body == b"ok"
            times.append(time.monotonic() - begin)
    return sorted(times)


def beside(app: Server, path: str) -> list[float]:
    """How long quick requests take while one for `path` is under way."""
    ended = threading.Event()

    def ask() -> None:
        with app.connect() as wire:
            assert wire.request("GET", path).response().status == 200
        ended.set()

    asking = threading.Thread(target=ask)
    asking.start()
    times = quick_times(app, ended)
    asking.join()
    return times


@pytest.mark.alone
def test_calls_that_wait_get_a_thread_each(server):
    app = server("wsgi_threads:app", "wsgi")
    at_once(app, "/sleep", 32)
    # In a row they would take 3.2 s; on an idle machine all are answered within 0.14 s.
    assert min(at_once(app, "/sleep", 32) for _ in range(3)) < 0.25


@pytest.mark.alone
def test_a_call_that_sleeps_holds_up_nobody(server):
    times = beside(server("wsgi_threads:app", "wsgi"), "/long")
    assert len(times) > 20
    assert times[len(times) // 2] < HELD_UP


@pytest.mark.alone
def test_a_call_that_computes_holds_up_nobody(server):
    times = beside(server("wsgi_threads:app", "wsgi"), "/compute")
    # The interpreter changes hands three times: to the loop, to a thread, to the loop.
    assert len(times) > 5
    assert times[len(times) // 2] < HELD_UP


def test_streams_whose_clients_do_not_read_hold_no_thread_that_others_need(server):
    app = server("wsgi_threads:app", "wsgi", "--blocking-threads", "2")
    streams = [app.connect().request("GET", "/stream") for _ in range(6)]
    for wire in streams:
        assert wire.socket.recv(1)
    assert app.get("/").body == b"ok"


def test_uploads_that_stop_hold_no_thread_that_others_need(server):
    app = server("wsgi_threads:app", "wsgi", "--blocking-threads", "2")
    uploads = [app.connect() for _ in range(6)]
    for wire in uploads:
        wire.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 500_000)
    assert app.get("/").body == b"ok"


def test_threads_that_are_idle_for_the_time_given_end(server):
    """5 s is the least that can be given."""
    brief, long = (
        server("wsgi_threads:app", "wsgi", "--blocking-threads", "4", "--blocking-threads-idle-timeout", seconds)
        for seconds in ("5", "60")
    )
    begin = time.monotonic()
    for app in (brief, long):
        # Four calls that wait for each other are on a thread each.
        at_once(app, "/meet", 4)
    while threads_of(brief) > 1:
        assert time.monotonic() < begin + 40
        time.sleep(0.1)
    assert time.monotonic() > begin + 4
    assert threads_of(long) == 4


def threads_of(app: Server) -> int:
    return app.get("/threads").body.count(b"granian-blocking-")


def test_quick_calls_in_a_row_are_on_one_thread_that_lives_on(server):
    app = server("wsgi_threads:app", "wsgi", fresh=True)
    with app.connect() as wire:
        seen = [wire.request("GET", "/count").response().body.split() for _ in range(50)]
    assert len({ident for ident, _, _ in seen}) == 1
    assert [int(count) for _, count, _ in seen] == list(range(1, 51))
    assert seen[0][2].startswith(b"granian-blocking-")
