"""Bodies that are held before a WSGI application is called: their length is known; there may be no room for them."""

from __future__ import annotations

import contextlib

import h2.exceptions
import pytest

from .h2wire import H2Wire
from .server import Server

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
