"""Applications that return what is none, fail where nothing should, or go on behind the end."""

from __future__ import annotations

import pytest

from .server import Server
from .wire import Incomplete

TARGETS = {
    "asgi": ("odd:asgi", "asginl"),
    "rsgi": ("odd:rsgi", "rsgi"),
    "wsgi": ("odd:wsgi", "wsgi", "--blocking-threads", "1"),
    "wsgi-pool": ("odd:wsgi", "wsgi", "--blocking-threads", "8"),
}


@pytest.fixture(params=["asgi", "rsgi"])
def asynchronous(request, server, loop) -> Server:
    return server(*TARGETS[request.param], loop=loop)


@pytest.fixture(params=["wsgi", "wsgi-pool"])
def wsgi(request, server) -> Server:
    return server(*TARGETS[request.param])


NO_AWAITABLES = ["none", "number", "list", "generator", "unawaitable", "failing", "strange", "asyncgen"]


@pytest.mark.parametrize("name", NO_AWAITABLES)
def test_results_that_cannot_be_awaited(asynchronous, name):
    mark = asynchronous.mark()
    for _ in range(2):
        assert asynchronous.get(f"/{name}").status == 500
    assert asynchronous.get("/hello").body == b"hello"
    asynchronous.wait_line("Application callable raised an exception", mark)
    asynchronous.mark()  # all that was written has been read
    assert asynchronous.log(mark).count("Application callable raised an exception") == 2
    assert len(asynchronous.lines(mark)) < 60


@pytest.mark.parametrize("name", ["len", "iter", "iterator", "next"])
def test_iterables_that_fail_before_the_first_piece(wsgi, name):
    """`len` need not be asked for."""
    mark = wsgi.mark()
    response = wsgi.get(f"/{name}")
    assert response.status == 500 or (name == "len" and response.body == b"onetwo")
    assert wsgi.get("/hello").body == b"hello"
    if response.status == 500:
        wsgi.wait_line("Application callable raised", mark)
    wsgi.mark()  # all that was written has been read
    assert wsgi.log(mark).count("Application callable raised") == (response.status == 500)


def test_iterables_that_fail_amid(wsgi):
    mark = wsgi.mark()
    with wsgi.connect() as wire, pytest.raises(Incomplete):
        wire.request("GET", "/second").response()
    wsgi.wait_line("^KeyboardInterrupt: second", mark)
    assert wsgi.get("/hello").body == b"hello"


def test_close_that_fails(wsgi):
    """It is told in the log; the response is whole by then."""
    mark = wsgi.mark()
    assert wsgi.get("/close").body == b"onetwo"
    wsgi.wait_line("^KeyboardInterrupt: close", mark)
    assert wsgi.get("/hello").body == b"hello"


def test_calls_behind_the_end(wsgi):
    """`write`, `start_response` and the body of a request that is over: errors, or nothing."""
    assert wsgi.get("/keep").body == b"kept"
    outcomes = wsgi.get("/late").text.split()
    assert len(outcomes) == 3
    assert outcomes[0] != "ok", "what is written goes nowhere"
    assert outcomes[1] != "ok", "the response has been started"
    assert wsgi.get("/hello").body == b"hello"
