"""`write()` with one blocking thread: nobody takes its bytes before the application returns, and they are bounded."""

from __future__ import annotations

import gzip

import pytest

from .h2wire import H2Wire
from .server import Server, script
from .test_wsgi_held import MEGABYTE, spooled, wait_spooled

START = "write = start_response('200 OK', [('Content-Type', 'text/plain')])"
PIECE = 64 * 1024


def written(count: int) -> bytes:
    return b"".join(bytes([65 + number % 26]) * PIECE for number in range(count))


def steps(count: int, *more: str) -> str:
    return script(START, f"[write(bytes([65 + number % 26]) * {PIECE}) for number in range({count})]", *more)


@pytest.fixture(params=["h1", "h2"])
def protocol(request) -> str:
    return request.param


def get(server: Server, protocol: str, line: str, *more: str, method: str = "GET") -> tuple[int, bytes]:
    if protocol == "h1":
        response = server.request(method, "/script", line, *more)
        return response.status, response.body
    with H2Wire(server.address) as wire:
        pairs = [tuple(each.split(": ", 1)) for each in (line, *more)]
        answer = wire.request(method, "/script", *((name.lower(), value) for name, value in pairs))
        return answer.status, bytes(answer.body)


@pytest.fixture
def inline(server) -> Server:
    return server("wsgi_probe:app", "wsgi", "--blocking-threads", "1")


RESULTS = {
    "nothing": ("result = []", b""),
    "list": ("result = [b'list', b'ed']", b"listed"),
    "generator": ("result = (piece for piece in (b'genera', b'ted'))", b"generated"),
    "file": ("import io", "result = environ['wsgi.file_wrapper'](io.BytesIO(b'file'))", b"file"),
}


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("count", [15, 16, 17, 60])
def test_all_comes_in_order(inline, protocol, count, result):
    """A megabyte waits in memory, the rest in a file, and what the application returns comes behind both."""
    *more, body = RESULTS[result]
    assert get(inline, protocol, steps(count, *more)) == (200, written(count) + body)
    assert spooled(inline) == 0


LATE = {
    "nothing more": ("", b""),
    "a piece": ("yield b'end'", b"end"),
    "pieces": ("yield b'one'; write(b'two'); yield b'three'", b"onetwothree"),
}


@pytest.mark.parametrize("more", LATE)
def test_the_iterable_may_write(inline, protocol, more):
    """PEP 3333 forbids it, but an application with a `yield` in its body does it."""
    code, body = LATE[more]
    function = f"""
def pieces():
    write = start_response('200 OK', [('Content-Type', 'text/plain')])
    for number in range(60):
        write(bytes([65 + number % 26]) * {PIECE})
    {code}
    yield b""
"""
    line = script(function, "result = pieces()")
    assert get(inline, protocol, line) == (200, written(60) + body)
    assert spooled(inline) == 0


def test_an_empty_piece_is_none(inline, protocol):
    line = script(START, f"write(b'A' * {PIECE} * 20)", "write(b'')")
    assert get(inline, protocol, line) == (200, b"A" * PIECE * 20)


@pytest.mark.parametrize("end", ["result = []", "raise ValueError('after all')"])
def test_the_file_ends_with_the_response(inline, end):
    """Though the application keeps `write`."""
    keep = "import builtins; builtins.kept = write"
    with inline.connect() as wire:
        wire.request("GET", "/script", steps(60 * 16, keep, end))
        if end.startswith("result"):
            wait_spooled(inline, 59 * MEGABYTE, 60 * MEGABYTE)
    wait_spooled(inline, 0, 0)


def test_a_response_without_a_body_has_no_file(inline, protocol):
    mark = inline.mark()
    assert get(inline, protocol, steps(60, "note('left')"), method="HEAD") == (200, b"")
    inline.note("left", mark)
    assert spooled(inline) == 0


def test_compressed(server, protocol):
    app = server("wsgi_probe:app", "wsgi", "--blocking-threads", "1", "--compress")
    status, body = get(app, protocol, steps(60, "result = [b'end']"), "Accept-Encoding: gzip")
    assert (status, gzip.decompress(body)) == (200, written(60) + b"end")


@pytest.fixture
def bounded(server) -> Server:
    """Files of `LIMIT`, and of half as much more together; a megabyte of each response is in memory."""
    total = str(LIMIT * 3 // 2)
    limits = ("--wsgi-spool-limit", str(LIMIT), "--wsgi-spool-total", total, "--runtime-mode", "st")
    return server("wsgi_probe:app", "wsgi", "--blocking-threads", "1", *limits)


# More than the kernel keeps for a client that does not read.
LIMIT = 32 * MEGABYTE
# The reply around each piece counts as well, so the last one of the first megabyte is in memory, too.
LARGEST = (LIMIT + MEGABYTE) // PIECE


def test_one_has_a_limit(bounded, protocol):
    """The application is told. It may catch the error: the client does not take the rest for the whole."""
    assert get(bounded, protocol, steps(LARGEST)) == (200, written(LARGEST))
    line, mark = steps(LARGEST + 1, "result = [b'end']"), bounded.mark()
    if protocol == "h1":
        with bounded.connect() as wire:
            wire.request("GET", "/script", line)
            assert wire.head().status == 200
            assert not wire.rest().endswith(b"0\r\n\r\n"), "it is cut"
    else:
        with H2Wire(bounded.address) as wire:
            name, value = line.split(": ", 1)
            assert wire.answer(wire.start("GET", "/script", (name.lower(), value))).reset is not None
    (told,) = [result for result in bounded.note("script", mark) if "OSError" in result]
    assert "has reached --wsgi-spool-limit: return an iterable" in told
    wait_spooled(bounded, 0, 0)
    assert bounded.get("/").status == 200


def test_all_have_one_together(bounded):
    """A client that does not read keeps its file until it leaves."""
    line = steps(LARGEST)
    with bounded.connect() as idle:
        idle.request("GET", "/script", line)
        wait_spooled(bounded, LIMIT, LIMIT)
        mark = bounded.mark()
        with bounded.connect() as second:
            second.request("GET", "/script", line)
            assert second.head().status == 200
            assert not second.rest().endswith(b"0\r\n\r\n")
        assert "reached --wsgi-spool-total" in bounded.log(mark)
        assert get(bounded, "h1", steps(LARGEST // 2)) == (200, written(LARGEST // 2))
    wait_spooled(bounded, 0, 0)
    assert get(bounded, "h1", line) == (200, written(LARGEST))


@pytest.mark.alone
def test_a_client_that_does_not_read_costs_little_memory(inline):
    """Of 256 MiB a megabyte is in memory beside the socket's and the pieces that are being sent."""
    assert inline.get("/").status == 200
    before = inline.memory()
    with inline.connect() as wire:
        wire.request("GET", "/script", steps(256 * MEGABYTE // PIECE, "note('written')"))
        inline.wait_line("@written")
        assert inline.memory() - before < 16 * MEGABYTE
        assert spooled(inline) > 250 * MEGABYTE
    wait_spooled(inline, 0, 0)
