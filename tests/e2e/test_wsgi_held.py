"""Bodies that are held before a WSGI application is called: their length is known; there may be no room for them."""

from __future__ import annotations

import contextlib
import os
import time

import h2.exceptions
import pytest

from .h2wire import H2Wire
from .server import Server
from .wire import DEADLINE

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["REQUEST_METHOD"] == "GET":
        return [b"hello"]
    length = environ.get("CONTENT_LENGTH")
    body = environ["wsgi.input"].read(None if length is None else int(length))
    return [f"{length} {len(body)}".encode()]
"""
FULL = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n"
# Puts a folder in the place of the file that the body is in.
BROKEN = """
import os


def broken(environ, start_response):
    for number in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{number}"
        if os.path.exists(path) and os.path.isfile(path) and os.stat(path).st_nlink == 0:
            folder = os.open(".", os.O_RDONLY)
            os.dup2(folder, int(number))
            os.close(folder)
    return app(environ, start_response)
"""
MEGABYTE = 1 << 20


@pytest.fixture(params=["h1", "h2"])
def protocol(request) -> str:
    return request.param


@pytest.fixture(params=["1", "8"])
def app(request, server, tmp_path_factory) -> Server:
    folder = tmp_path_factory.getbasetemp() / "held"
    folder.mkdir(exist_ok=True)
    (folder / "held_app.py").write_text(APP)
    return server("held_app:app", "wsgi", "--blocking-threads", request.param, cwd=folder)


def upload(server: Server, protocol: str, body: bytes) -> tuple[int, bytes]:
    """Sends a body without saying how long it is; the answer."""
    if protocol == "h1":
        with server.connect() as wire:
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(ConnectionError):  # it has been answered
                for at in range(0, len(body), 65536):
                    piece = body[at : at + 65536]
                    wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                wire.send(b"0\r\n\r\n")
            response = wire.response()
            return response.status, response.body
    with H2Wire(server.address) as wire:
        number = wire.start("POST", "/", end=False)
        with contextlib.suppress(h2.exceptions.StreamClosedError):  # it has been answered
            wire.data(number, body, end=True)
        answer = wire.answer(number)
        return answer.status, bytes(answer.body)


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 300_000, MEGABYTE - 100])
def test_the_length_of_a_held_body_is_set(app, protocol, size):
    """Frameworks take a body without a length for an empty one."""
    assert upload(app, protocol, b"x" * size) == (200, b"%d %d" % (size, size))


def test_larger_ones(app, protocol):
    """They are held by the spool of one thread; several threads read them as they come."""
    size = 3 * MEGABYTE
    length = b"%d" % size if "1" in app.spec.options else b"None"
    assert upload(app, protocol, b"x" * size) == (200, length + b" %d" % size)


def test_no_body_has_no_length(app, protocol):
    if protocol == "h1":
        assert app.request("DELETE", "/").body == b"None 0"
    else:
        with H2Wire(app.address) as wire:
            assert wire.request("DELETE", "/").body == b"None 0"


@pytest.fixture
def bounded(server, tmp_path_factory) -> Server:
    """A server that holds two megabytes of a body and no more."""
    folder = tmp_path_factory.getbasetemp() / "bounded"
    (folder / "spool").mkdir(exist_ok=True, parents=True)
    (folder / "held_app.py").write_text(APP)
    options = ("--blocking-threads", "1", "--wsgi-spool-limit", str(2 * MEGABYTE))
    return server("held_app:app", "wsgi", *options, cwd=folder, env={"TMPDIR": str(folder / "spool")})


def test_a_body_beyond_the_limit(bounded, protocol):
    """It is refused before the application is called, as soon as it is too long."""
    size = 2 * MEGABYTE
    assert upload(bounded, protocol, b"x" * size) == (200, b"%d %d" % (size, size))
    assert upload(bounded, protocol, b"x" * (size + 1)) == (413, b"")
    assert upload(bounded, protocol, b"x" * 4 * MEGABYTE) == (413, b"")
    assert bounded.get("/").body == b"hello"


def test_a_declared_length_beyond_the_limit(bounded, protocol):
    """Nothing of the body is waited for."""
    for size, status in ((2 * MEGABYTE, 100), (2 * MEGABYTE + 1, 413)):
        if protocol == "h1":
            with bounded.connect() as wire:
                wire.request("POST", "/", f"Content-Length: {size}", "Expect: 100-continue")
                assert wire.head().status == status
        elif status > 100:
            with H2Wire(bounded.address) as wire:
                number = wire.start("POST", "/", ("content-length", str(size)), end=False)
                while not wire.answers[number].headers:
                    assert wire.step()
                assert wire.answers[number].status == status


@pytest.fixture
def crowded(server, tmp_path_factory) -> Server:
    """Files of three megabytes together; the first megabyte of each body is in memory."""
    folder = tmp_path_factory.getbasetemp() / "crowded"
    folder.mkdir(exist_ok=True)
    (folder / "held_app.py").write_text(APP)
    options = ("--blocking-threads", "1", "--wsgi-spool-total", str(3 * MEGABYTE), "--log-level", "debug")
    return server("held_app:app", "wsgi", *options, cwd=folder)


def spooled(app: Server) -> int:
    """Bytes of the worker's unlinked files."""
    folder = f"/proc/{app.worker}/fd"
    sizes = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(f"{folder}/{name}")
            sizes.append(found.st_size if os.path.isfile(f"{folder}/{name}") and not found.st_nlink else 0)
    return sum(sizes)


def wait_spooled(app: Server, least: int, most: int) -> None:
    end = time.monotonic() + DEADLINE
    while not least <= spooled(app) <= most:
        assert time.monotonic() < end, spooled(app)
        time.sleep(0.005)


def test_files_are_bounded_together(crowded, protocol):
    """A body that finds no room beside others is refused; there is room again when they have been read, or left."""
    size, mark = 3 * MEGABYTE, crowded.mark()
    for is_left in (False, True):
        with crowded.connect() as first:
            first.request("POST", "/", f"Content-Length: {size}", "Expect: 100-continue")
            assert first.head().status == 100
            first.send(b"x" * (size - 1))
            wait_spooled(crowded, 2 * MEGABYTE - 1, size)
            assert upload(crowded, protocol, b"x" * (2 * MEGABYTE + 2)) == (503, b"")
            assert upload(crowded, protocol, b"x" * MEGABYTE) == (200, b"%d %d" % (MEGABYTE, MEGABYTE))
            crowded.wait_line("reached the limit of --wsgi-spool-total$", mark)
            if not is_left:
                assert first.send(b"x").response().body == b"%d %d" % (size, size)
        wait_spooled(crowded, 0, 0)
    for _ in range(2):
        assert upload(crowded, protocol, b"x" * size) == (200, b"%d %d" % (size, size))
    assert upload(crowded, protocol, b"x" * (size + 1)) == (413, b"")


def test_a_file_that_cannot_be_read(server, protocol, tmp_path):
    """The application sees an error, not the end of the body; the client gets 500."""
    (tmp_path / "held_app.py").write_text(APP + BROKEN)
    app = server("held_app:broken", "wsgi", "--blocking-threads", "1", fresh=True, cwd=tmp_path)
    assert upload(app, protocol, b"x" * 3 * MEGABYTE)[0] == 500
    app.wait_line("IsADirectoryError")
    assert upload(app, protocol, b"x" * 1000)[0] == 200


@pytest.mark.parametrize("trouble", ["no folder", "full disk"])
def test_no_room(server, tmp_path, protocol, trouble):
    """507 for the upload, one line that names the folder, and everything else goes on."""
    (tmp_path / "held_app.py").write_text((FULL if trouble == "full disk" else "") + APP)
    folder = tmp_path / ("missing" if trouble == "no folder" else ".")
    options = ("wsgi", "--blocking-threads", "1")
    app = server("held_app:app", *options, fresh=True, cwd=tmp_path, env={"TMPDIR": str(folder)})
    for _ in range(2):
        assert upload(app, protocol, b"x" * 4 * MEGABYTE) == (507, b"")
    assert upload(app, protocol, b"x" * 1000)[0] == 200
    assert app.get("/").body == b"hello"
    app.mark()
    errors = [line for line in app.lines() if "[ERROR]" in line]
    assert len(errors) == 1 and str(folder) in errors[0], app.log()
