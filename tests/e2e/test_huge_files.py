"""A sparse file of 5 GiB: lengths, and parts on both sides of 2^31 and 2^32, by every way that files leave."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server, script
from .tls import Files, TlsWire, context

GIB = 1 << 30
SIZE = 5 * GIB
# Places of eight bytes that are not zero, each of which is asked for with four more on both sides.
MARKS = {(1 << 31) - 4: b"<2^31---", (1 << 32) - 4: b"<2^32---", SIZE - 8: b"the end."}
ROUTE = "/static/huge.bin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("huge")
    with (folder / "huge.bin").open("wb") as file:
        for place, mark in MARKS.items():
            file.seek(place)
            file.write(mark)
    yield folder
    (folder / "huge.bin").unlink()


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Files:
    return Files.make(tmp_path_factory.mktemp("tls"))


def start(server, folder: Path, *options: str) -> Server:
    return server(*TARGETS["asgi"], "--static-path-mount", str(folder), *options)


def parts() -> list[tuple[int, int, bytes]]:
    """Start, end and bytes of the parts that are asked for."""
    return [
        (at - 4, min(at + 12, SIZE), (bytes(4) + mark + bytes(4))[: min(16, SIZE - at + 4)])
        for at, mark in MARKS.items()
    ]


def check_parts(wire) -> None:
    for first, end, data in parts():
        answer = wire.request("GET", ROUTE, f"Range: bytes={first}-{end - 1}").response()
        assert (answer.status, answer.body) == (206, data)
        assert answer.header("content-range") == f"bytes {first}-{end - 1}/{SIZE}"
    assert wire.request("GET", ROUTE, "Range: bytes=-8").response().body == b"the end."
    beyond = wire.request("GET", ROUTE, f"Range: bytes={SIZE}-").response()
    assert (beyond.status, beyond.header("content-range")) == (416, f"bytes */{SIZE}")
    several = ",".join(f"{first}-{end - 1}" for first, end, _ in parts())
    body = wire.request("GET", ROUTE, f"Range: bytes={several}").response().body
    assert all(data in body for _, _, data in parts())
    assert wire.request("HEAD", ROUTE).response("HEAD").header("content-length") == str(SIZE)


def check_long_part(wire) -> None:
    """Several steps of sending across 2^32; then the whole of it, of which only the start is taken."""
    first = (1 << 32) - GIB // 512
    length = GIB // 256
    wire.request("GET", ROUTE, f"Range: bytes={first}-{first + length - 1}")
    assert wire.head().header("content-length") == str(length)
    body = wire.exactly(length)
    assert body.find(MARKS[(1 << 32) - 4]) == GIB // 512 - 4
    assert body.count(0) == length - 8
    wire.request("GET", ROUTE)
    assert wire.head().header("content-length") == str(SIZE)
    assert not any(wire.exactly(1 << 20))


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_over_http1(server, folder, tls, secure):
    app = start(server, folder, *(tls.options if secure else ()))
    with TlsWire(app, context(tls.authority)) if secure else app.connect() as wire:
        check_parts(wire)
        check_long_part(wire)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_over_http2(server, folder, tls, secure):
    app = start(server, folder, *(tls.options if secure else ()))
    trust: ssl.SSLContext | None = context(tls.authority, alpn=("h2",)) if secure else None
    with H2Wire(app.address, context=trust) as wire:
        for first, end, data in parts():
            answer = wire.request("GET", ROUTE, ("range", f"bytes={first}-{end - 1}"))
            assert (answer.status, bytes(answer.body)) == (206, data)
            assert answer.header("content-range") == f"bytes {first}-{end - 1}/{SIZE}"
        first = (1 << 32) - 300_000
        answer = wire.request("GET", ROUTE, ("range", f"bytes={first}-{first + 599_999}"))
        assert answer.body.find(MARKS[(1 << 32) - 4]) == 299_996
        assert len(answer.body) == 600_000
        assert wire.request("HEAD", ROUTE).header("content-length") == str(SIZE)
        wire.greedy = False
        number = wire.start("GET", ROUTE)
        while not wire.answers[number].body:
            assert wire.step()
        assert wire.answers[number].header("content-length") == str(SIZE)


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_files_that_applications_send(server, folder, interface):
    path = str(folder / "huge.bin")
    first, end = SIZE - 100, SIZE
    steps = {
        "asgi": (
            f"kept.append(open({path!r}, 'rb', buffering=0))",
            "await start()",
            f"await send({{'type': 'http.response.zerocopysend', 'file': kept[-1], 'offset': {first}}})",
            "kept.pop().close()",
        ),
        "rsgi": (f"protocol.response_file_range(206, [], {path!r}, {first}, {end})",),
        "wsgi": (
            f"file = open({path!r}, 'rb')",
            f"file.seek({first})",
            "start_response('200 OK', [])",
            "result = environ['wsgi.file_wrapper'](file)",
        ),
    }[interface]
    app = server(*TARGETS[interface])
    assert app.get("/script", script(*steps)).body == bytes(92) + b"the end."
    if interface == "asgi":
        whole = script("await start()", f"await send({{'type': 'http.response.pathsend', 'path': {path!r}}})")
        with app.connect() as wire:
            wire.request("GET", "/script", whole)
            assert wire.head().header("content-length") == str(SIZE)
            assert not any(wire.exactly(1 << 20))
