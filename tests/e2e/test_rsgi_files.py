"""RSGI files: `response_file` and `response_file_range`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .server import Server, script

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def probe(server) -> Server:
    return server("rsgi_probe:app", "rsgi")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("waited", ["", "await "])
@pytest.mark.parametrize("name", ["", "file=", "file_path="])
def test_file(probe, file, name, waited):
    mark = probe.mark()
    call = f"protocol.response_file(200, [('content-type', 'x/y')], {name}{str(file)!r})"
    response = probe.get("/script", script(waited + call))
    assert probe.note("script", mark) == ["ok"]
    assert (response.status, response.body) == (200, CONTENT)
    assert response.header("content-type") == "x/y"
    assert response.header("server") == "granian"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 1, CONTENT[:1]),
        (100, 200_000, CONTENT[100:200_000]),
        (len(CONTENT) - 1, len(CONTENT), CONTENT[-1:]),
        (len(CONTENT) - 5, len(CONTENT) + 5, CONTENT[-5:]),
        (len(CONTENT) + 1, len(CONTENT) + 5, b""),
    ],
)
def test_range(probe, file, start, end, expected):
    call = f"protocol.response_file_range(206, [('a', '1')], {str(file)!r}, {start}, {end})"
    response = probe.get("/script", script(call))
    assert (response.status, response.body, response.header("a")) == (206, expected, "1")
    assert response.header("content-range") is None


def test_backward_range(probe, file):
    mark = probe.mark()
    call = f"protocol.response_file_range(206, [], {str(file)!r}, 5, 4)"
    probe.get("/script", script(call, "protocol.response_empty()"))
    assert probe.note("script", mark)[0] == "ValueError: Invalid range"


@pytest.mark.parametrize("name", ["missing", ".", "file/below"])
def test_what_is_no_file(probe, file, name):
    mark = probe.mark()
    path = f"{file.parent}/{name}"
    response = probe.get("/script", script(f"protocol.response_file(200, [], {path!r})"))
    assert probe.note("script", mark) == ["ok"]
    assert (response.status, response.body) == (404, b"Not found")
    assert response.header("server") == "granian"
    assert response.header("content-type") is None
    if name == "missing":
        probe.wait_line(f"Cannot open file {path}", mark)


def test_empty_file(probe, tmp_path):
    (tmp_path / "empty").touch()
    response = probe.get("/script", script(f"protocol.response_file(200, [], '{tmp_path}/empty')"))
    assert (response.status, response.body) == (200, b"")


def test_head_of_a_file(probe, file):
    call = f"protocol.response_file(200, [], {str(file)!r})"
    with probe.connect() as wire:
        assert wire.request("HEAD", "/script", script(call)).response("HEAD").status == 200
        assert wire.request("GET", "/").response().body == b"hello"


def test_file_under_own_content_length(probe, file):
    headers = f"[('content-length', '{len(CONTENT)}')]"
    response = probe.get("/script", script(f"protocol.response_file(200, {headers}, {str(file)!r})"))
    assert response.header("content-length") == str(len(CONTENT))
    assert response.body == CONTENT


def test_many_files_on_one_connection(probe, file):
    call = script(f"protocol.response_file(200, [], {str(file)!r})")
    with probe.connect() as wire:
        for _ in range(20):
            assert wire.request("GET", "/script", call).response().body == CONTENT


def test_named_pipe_is_not_waited_for(probe, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    response = probe.get("/script", script(f"protocol.response_file(200, [], {str(path)!r})"))
    assert (response.status, response.body) == (404, b"Not found")
