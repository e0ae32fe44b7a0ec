"""Middleware that swallows `http.response.pathsend`, such as Gradio's compression, in front of files."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server

pytest.importorskip("starlette")
SOURCE = (Path(__file__).parent.parent / "apps" / "swallow.py").read_bytes()
WITHDRAWN = "[INFO] A middleware does not pass on http.response.pathsend: files are sent as bodies from now on"


@pytest.fixture
def fresh(server: ServerFactory, loop: str) -> Server:
    return server("swallow:app", "asgi", loop=loop, fresh=True)


def test_file_is_sent_as_a_body(fresh: Server) -> None:
    """It was a 500: the application had answered nothing."""
    assert b"http.response.pathsend" in fresh.get("/extensions").body.split()
    for _ in range(3):
        response = fresh.get("/file")
        assert (response.status, response.body) == (200, SOURCE)
        assert response.header("content-length") == str(len(SOURCE))
    assert fresh.lines().count(WITHDRAWN) == 1
    assert "[ERROR]" not in fresh.log()
    assert b"http.response.pathsend" not in fresh.get("/extensions").body.split()


def test_file_of_a_mounted_application(fresh: Server) -> None:
    """A mount changes the scope's root path, which the second call gets as it was."""
    response = fresh.get("/static/swallow.py")
    assert (response.status, response.body) == (200, SOURCE)
    assert fresh.get("/static/%73wallow.py?a=b").body == SOURCE


def test_head_and_http2(fresh: Server) -> None:
    with H2Wire(fresh.address) as wire:
        answers = [wire.start("GET", "/file") for _ in range(5)]
        assert [bytes(wire.answer(number).body) for number in answers] == [SOURCE] * 5
    assert fresh.request("HEAD", "/file").status == 200
    assert "[ERROR]" not in fresh.log()


def test_head_first(fresh: Server) -> None:
    with fresh.connect() as wire:
        response = wire.request("HEAD", "/static/swallow.py").response("HEAD")
        assert (response.status, response.header("content-length")) == (200, str(len(SOURCE)))
        assert wire.request("GET", "/file").response().body == SOURCE


def test_request_that_is_not_safe_is_not_repeated(fresh: Server) -> None:
    assert fresh.request("POST", "/file", body=b"x").status == 500
    fresh.wait_line("Application returned without completing its response")
    assert WITHDRAWN not in fresh.log()


def test_fault_of_the_application_is_still_one(fresh: Server) -> None:
    """Who answers nothing is called once more, once in a worker's life, and the 500 comes."""
    mark = fresh.mark()
    for _ in range(2):
        last = fresh.mark()
        assert fresh.get("/nothing").status == 500
        fresh.wait_line("Application returned without completing its response", last)
    assert fresh.log(mark).count('@called ["GET", "http.request"]') == 3
    assert fresh.log(mark).count("Application returned without completing its response") == 2


def test_workers_learn_by_themselves(server: ServerFactory) -> None:
    running = server("swallow:app", "asgi", fresh=True)
    assert running.get("/file").body == SOURCE
    mark = running.mark()
    running.process.send_signal(signal.SIGHUP)
    running.wait_line("Stopped old worker-1", mark)
    assert running.get("/file").body == SOURCE
    assert running.lines(mark).count(WITHDRAWN) == 1
    running.stop()


def test_files_are_sent_by_their_path_where_nobody_is_in_the_way(server: ServerFactory) -> None:
    running = server("swallow:starlette", "asgi", fresh=True)
    assert running.get("/file").body == SOURCE
    assert b"http.response.pathsend" in running.get("/extensions").body.split()
    assert WITHDRAWN not in running.log()
