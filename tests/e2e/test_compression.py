"""`--compress`: which responses are compressed, for whom, and that they decode to the same bytes."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server, script

BODY = b"The quick brown fox jumps over the lazy dog. " * 300
HUGE = BODY * 40


def _brotli(data: bytes) -> bytes:
    return pytest.importorskip("brotli").decompress(data)


def _zstd(data: bytes) -> bytes:
    reader = pytest.importorskip("zstandard").ZstdDecompressor().decompressobj()
    return reader.decompress(data)


DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "br": _brotli, "zstd": _zstd}


def answer_with(interface: str, kind: str, body: bytes, *headers: tuple[str, str]) -> str:
    """The steps of an application that answers with this."""
    pairs = [("content-type", kind), *headers]
    if interface == "asgi":
        raw = [(name.encode(), value.encode()) for name, value in pairs]
        return script(f"await start(200, {raw!r})", f"await body({body[:45]!r} * {len(body) // 45})")
    if interface == "rsgi":
        return script(f"protocol.response_bytes(200, {pairs!r}, {body[:45]!r} * {len(body) // 45})")
    return script(f"start_response('200 OK', {pairs!r})", f"return [{body[:45]!r} * {len(body) // 45}]")


@pytest.fixture(params=["asgi", "rsgi"])
def probe(request, server) -> tuple[str, Server]:
    return request.param, server(*TARGETS[request.param], "--compress")


@pytest.mark.parametrize("coding", DECODERS)
@pytest.mark.parametrize("body", [BODY, HUGE], ids=["short", "long"])
def test_whole_bodies(probe, coding, body):
    interface, app = probe
    steps = answer_with(interface, "text/html", body, ("etag", '"a"'))
    answer = app.get("/script", steps, f"Accept-Encoding: {coding}")
    assert answer.header("content-encoding") == coding
    assert DECODERS[coding](answer.body) == body
    assert answer.header("content-length") == str(len(answer.body))
    assert len(answer.body) < len(body) / 4
    assert (answer.header("vary"), answer.header("etag")) == ("accept-encoding", 'W/"a"')
    with H2Wire(app.address) as wire:
        name, value = steps.split(": ", 1)
        over2 = wire.request("GET", "/script", (name, value), ("accept-encoding", coding))
        assert over2.header("content-encoding") == coding
        assert DECODERS[coding](bytes(over2.body)) == body
    with app.connect() as wire1:
        head = wire1.request("HEAD", "/script", steps, f"Accept-Encoding: {coding}").response("HEAD")
        check_head(head, coding)
    with H2Wire(app.address) as wire:
        check_head(wire.request("HEAD", "/script", (name, value), ("accept-encoding", coding)), coding)


def check_head(head, coding: str) -> None:
    """The fields of GET, without a length: what is not compressed has none."""
    assert head.status == 200
    assert head.header("content-encoding") == coding
    assert (head.header("vary"), head.header("etag")) == ("accept-encoding", 'W/"a"')
    assert head.header("content-length") is None
    assert head.header("transfer-encoding") is None
    assert not head.body


def test_the_client_decides(probe):
    interface, app = probe
    steps = answer_with(interface, "text/html", BODY)
    for taken, coding in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("*", "zstd"),
    ]:
        answer = app.get("/script", steps, f"Accept-Encoding: {taken}")
        assert answer.header("content-encoding") == coding, taken
        assert answer.header("vary") == "accept-encoding"
    plain = app.get("/script", steps)
    assert (plain.body, plain.header("vary")) == (BODY, "accept-encoding")


@pytest.mark.parametrize(
    ("kind", "size", "header"),
    [
        ("image/png", 300, None),
        ("text/html", 10, None),
        ("text/html", 300, ("content-encoding", "br")),
        ("text/html", 300, ("cache-control", "no-transform")),
        ("text/html", 300, ("content-range", "bytes 0-1/2")),
    ],
)
def test_what_stays_as_it_is(probe, kind, size, header):
    interface, app = probe
    body = BODY[:45] * size
    steps = answer_with(interface, kind, body, *([header] if header else []))
    answer = app.get("/script", steps, "Accept-Encoding: gzip")
    assert answer.body == body
    assert answer.header("content-encoding") == (header[1] if header and header[0] == "content-encoding" else None)
    assert answer.header("vary") is None


def test_off_by_default(server):
    app = server(*TARGETS["asgi"])
    answer = app.get("/script", answer_with("asgi", "text/html", BODY), "Accept-Encoding: gzip")
    assert (answer.body, answer.header("vary")) == (BODY, None)


@pytest.mark.parametrize("interface", TARGETS)
def test_streams(server, interface):
    """Many pieces, some of them large, in the order in which they were made."""
    app = server(*TARGETS[interface], "--compress")
    for size in (10, 3_000, 100_000):
        path = f"/stream?n=30&size={size}&type=text/plain"
        plain = app.get(path).body
        for coding, decode in DECODERS.items():
            answer = app.get(path, f"Accept-Encoding: {coding}")
            assert answer.header("content-encoding") == coding
            assert decode(answer.body) == plain


def test_events_leave_one_by_one(server):
    app = server(*TARGETS["asgi"], "--compress")
    with app.connect() as wire:
        wire.request("GET", "/head?gate=event1&type=text/event-stream", "Accept-Encoding: gzip")
        head = wire.head()
        assert (head.header("content-encoding"), head.header("vary")) == ("gzip", "accept-encoding")
        app.get("/open/event1")
        assert gzip.decompress(wire.chunk()) == b"done"
    steps = script(
        "await start(200, [(b'content-type', b'text/event-stream')])",
        "await body(b'data: 1\\n\\n', True)",
        "await gates['event2'].wait()",
        "await body(b'data: 2\\n\\n', True)",
        "await gates['event3'].wait()",
        "await body(b'')",
    )
    decoder = zlib.decompressobj(31)
    with app.connect() as wire:
        wire.request("GET", "/script", steps, "Accept-Encoding: gzip")
        assert wire.head().header("content-encoding") == "gzip"
        assert decoder.decompress(wire.chunk()) == b"data: 1\n\n"
        app.get("/open/event2")
        assert decoder.decompress(wire.chunk()) == b"data: 2\n\n"
        app.get("/open/event3")
        rest = b"".join(iter(wire.chunk, b""))
        assert decoder.decompress(rest) == b""
        assert decoder.eof


def test_the_log_has_the_bytes_that_are_sent(server):
    app = server(
        *TARGETS["asgi"], "--compress", "--access-log", "--access-log-fmt", "@access %(status)d %(body_bytes)d"
    )
    mark = app.mark()
    answer = app.get("/script", answer_with("asgi", "text/html", BODY), "Accept-Encoding: gzip")
    app.wait_line(f"^@access 200 {len(answer.body)}$", mark)


def test_static_files(server, tmp_path: Path):
    (tmp_path / "app.js").write_bytes(BODY)
    (tmp_path / "large.css").write_bytes(HUGE)
    (tmp_path / "photo.png").write_bytes(BODY)
    (tmp_path / "other.js").write_bytes(BODY)
    (tmp_path / "other.js.gz").write_bytes(gzip.compress(b"neighbour"))
    options = ("--compress", "--static-path-precompressed", "--static-path-mount", str(tmp_path))
    app = server(*TARGETS["asgi"], *options, fresh=True)
    for name, body in [("app.js", BODY), ("large.css", HUGE)]:
        for coding, decode in DECODERS.items():
            for _ in range(2):
                answer = app.get(f"/static/{name}", f"Accept-Encoding: {coding}")
                assert answer.header("content-encoding") == coding
                assert decode(answer.body) == body
        tag = answer.header("etag")
        assert tag.startswith('W/"')
        assert answer.header("accept-ranges") is None
        assert app.get(f"/static/{name}", f"Accept-Encoding: {coding}", f"If-None-Match: {tag}").status == 304
        ranged = app.get(f"/static/{name}", f"Accept-Encoding: {coding}", "Range: bytes=0-9")
        assert (ranged.status, decode(ranged.body)) == (200, body)
        part = app.get(f"/static/{name}", "Range: bytes=0-9")
        assert (part.status, part.body, part.header("vary")) == (206, body[:10], "accept-encoding")
    assert app.get("/static/photo.png", "Accept-Encoding: gzip").body == BODY
    neighbour = app.get("/static/other.js", "Accept-Encoding: gzip")
    assert gzip.decompress(neighbour.body) == b"neighbour"
    assert not re.match("W/", neighbour.header("etag"))
