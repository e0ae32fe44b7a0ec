"""Clients that a WSGI call waits for hold its thread: those threads have a bound, and the others go on."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from .carriers import CARRIERS, Carried, carried
from .conftest import ServerFactory
from .test_limits import reached
from .tls import Files

THREADS = 2
# All threads: four times as many may wait for clients besides.
MOST = 5 * THREADS
TOO_MANY = 3
INITIAL_WINDOW_SIZE = 4
OPTIONS = ("wsgi_threads:app", "wsgi", "--blocking-threads", str(THREADS), "--log-level", "debug")


@pytest.fixture(params=CARRIERS)
def app(request: pytest.FixtureRequest, server: ServerFactory, files: Files) -> Carried:
    return carried(server, files, request.param, *OPTIONS)


def test_uploads_that_do_not_come_leave_threads_for_others(app: Carried) -> None:
    mark = app.server.mark()
    with ExitStack() as stack:
        clients = [stack.enter_context(app.client()) for _ in range(MOST + TOO_MANY)]
        for client in clients:
            client.begin_upload("/upload", 1000)
        for client in clients[:TOO_MANY]:
            assert client.status() == 503
        reached(app.server, "--blocking-threads", mark)
        # It needs a thread, too: one more of the clients goes, and on a busy machine another one.
        assert app.status("GET", "/") == 200
        assert clients[TOO_MANY].status() == 503
        assert clients[-1].end_upload(b"x" * 1000) == 200


@pytest.mark.parametrize("path", ["/stream", "/pieces"])
def test_downloads_that_are_not_read_leave_threads_for_others(app: Carried, path: str) -> None:
    mark = app.server.mark()
    with ExitStack() as stack:
        if app.version == "h2":
            # Those of one connection.
            wire = stack.enter_context(app.h2(settings={INITIAL_WINDOW_SIZE: 0}))
            numbers = [wire.start("GET", path) for _ in range(MOST + TOO_MANY)]
            while sum(wire.answers[number].reset is not None for number in numbers) < TOO_MANY:
                assert wire.step()
        else:
            for _ in range(MOST + TOO_MANY):
                stack.enter_context(app.wire(receive_buffer=65536)).request("GET", path)
        for _ in range(TOO_MANY):
            found = app.server.wait_line(r"has reached the limit of --blocking-threads$", mark)
            mark += 1 + app.server.lines(mark).index(found.string)
        assert app.status("GET", "/") == 200


@pytest.mark.parametrize("app", ["h2", "h2-tls"], indirect=True)
def test_one_connection_with_many_goes_before_those_with_one(app: Carried) -> None:
    with ExitStack() as stack:
        alone = stack.enter_context(app.client())
        alone.begin_upload("/upload", 1000)
        wire = stack.enter_context(app.h2(settings={INITIAL_WINDOW_SIZE: 0}))
        numbers = [wire.start("GET", "/stream") for _ in range(MOST + TOO_MANY)]
        while sum(wire.answers[number].reset is not None for number in numbers) <= TOO_MANY:
            assert wire.step()
        assert app.status("GET", "/") == 200
        assert alone.end_upload(b"x" * 1000) == 200
