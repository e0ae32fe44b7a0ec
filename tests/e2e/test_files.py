"""Files that applications send: the ways of each interface, in which parts, and how they leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .h2wire import H2Wire
from .server import Server, script

LARGE = bytes(range(256)) * 4096


@pytest.fixture
def asgi(server) -> Server:
    return server("asgi_probe:app", "asginl")


@pytest.fixture
def rsgi(server) -> Server:
    return server("rsgi_probe:app", "rsgi")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    return path


def zero_copy(path: Path, *steps: str) -> str:
    """The steps of an application that has the file open as `kept[-1]`."""
    opening = f"kept.append(open({str(path)!r}, 'rb', buffering=0))"
    return script(opening, "await start()", *steps, "kept.pop().close()")


def piece(**keys: object) -> str:
    given = ", ".join(f"{name!r}: {value!r}" for name, value in keys.items())
    return f"await send({{'type': 'http.response.zerocopysend', 'file': kept[-1], {given}}})"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([piece()], LARGE),
        ([piece(offset=1000)], LARGE[1000:]),
        ([piece(offset=5, count=10)], LARGE[5:15]),
        ([piece(count=200_000)], LARGE[:200_000]),
        ([piece(offset=len(LARGE) - 3, count=10)], LARGE[-3:]),
        ([piece(offset=len(LARGE) + 3)], b""),
        # The position moves on behind what was sent without an offset.
        ([piece(count=7, more_body=True), piece(count=100_000, more_body=True), piece()], LARGE),
        ([piece(offset=0, count=7, more_body=True), piece()], LARGE[:7] + LARGE),
        ([piece(count=100_000, more_body=True), "await body(b'end')"], LARGE[:100_000] + b"end"),
    ],
)
def test_zero_copy(asgi, path, steps, expected):
    mark = asgi.mark()
    answer = asgi.get("/script", zero_copy(path, *steps))
    assert asgi.note("script", mark) == ["ok"] * (len(steps) + 3)
    assert (answer.status, answer.body) == (200, expected)
    with H2Wire(asgi.address) as wire:
        name, value = zero_copy(path, *steps).split(": ", 1)
        assert bytes(wire.request("GET", "/script", (name, value)).body) == expected


def test_zero_copy_is_announced(asgi):
    assert '"http.response.zerocopysend": {}' in asgi.get("/scope").text


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("io.BytesIO(b'x')", "TypeError: file must have a descriptor"),
        ("os.pipe()[0]", "ValueError: file is no regular file"),
        ("-1", "ValueError: file is closed"),
    ],
)
def test_zero_copy_of_what_is_no_file(asgi, file, error):
    mark = asgi.mark()
    send = f"await send({{'type': 'http.response.zerocopysend', 'file': {file}}})"
    steps = script("import io, os", "await start(204)", send, "await body()")
    assert asgi.get("/script", steps).status == 204
    assert asgi.note("script", mark)[2] == error


@pytest.mark.parametrize("kind", ["asgi", "rsgi"])
def test_a_file_that_a_thread_opens(request, kind, path):
    """Names below /proc are never the kernel's to tell at once. The application does not wait."""
    app = request.getfixturevalue(kind)
    slow = f"/proc/self/root{path}"
    call = {
        "asgi": ("await start()", f"await send({{'type': 'http.response.pathsend', 'path': {slow!r}}})"),
        "rsgi": (f"protocol.response_file(200, [], {slow!r})",),
    }[kind]
    for _ in range(3):
        assert app.get("/script", script(*call)).body == LARGE
    part = f"protocol.response_file_range(206, [], {slow!r}, 5, 10)"
    if kind == "rsgi":
        assert app.get("/script", script(part)).body == LARGE[5:10]
    with app.connect() as wire:
        head = wire.request("HEAD", "/script", script(*call)).response("HEAD")
        assert (head.status, head.header("content-length")) == (200, str(len(LARGE)))


def test_nothing_may_follow_a_file_that_a_thread_opens(asgi, path):
    mark = asgi.mark()
    send = f"await send({{'type': 'http.response.pathsend', 'path': '/proc/self/root{path}'}})"
    assert asgi.get("/script", script("await start()", send, "await body(b'more')")).body == LARGE
    assert asgi.note("script", mark)[2] == "RuntimeError: ASGI flow error: Response already finished"


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_length_that_is_not_the_files(asgi, tmp_path, size):
    (tmp_path / "file").write_bytes(b"x" * size)
    send = f"await send({{'type': 'http.response.pathsend', 'path': '/proc/self/root{tmp_path}/file'}})"
    with asgi.connect() as wire:
        wire.request("GET", "/script", script("await start(200, [(b'content-length', b'50')])", send))
        assert wire.response().status == 500


def test_cold_files_come_whole(asgi, rsgi, path):
    """What the kernel has dropped from its memory is read by threads."""
    for app in (asgi, rsgi):
        for step in range(2):
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            call = {
                asgi: ("await start()", f"await send({{'type': 'http.response.pathsend', 'path': {str(path)!r}}})"),
                rsgi: (f"protocol.response_file(200, [], {str(path)!r})",),
            }[app]
            if step == 0:
                assert app.get("/script", script(*call)).body == LARGE
                continue
            with H2Wire(app.address) as wire:
                name, value = script(*call).split(": ", 1)
                assert bytes(wire.request("GET", "/script", (name, value)).body) == LARGE
