"""The life of an HTTP/1 connection: keep-alive, pipelining, 100-continue, timeouts, noise."""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from .server import Server, script
from .wire import Incomplete, Wire, request_bytes

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def probe(server, loop) -> Server:
    return server("asgi_probe:app", "asginl", loop=loop)


def test_keep_alive_is_the_default(probe):
    with probe.connect() as wire:
        for _ in range(50):
            response = wire.send(GET).response()
            assert response.body == b"hello"
            assert response.header("connection") in (None, "keep-alive")


@pytest.mark.parametrize("value", ["close", "Close", "x, close"])
def test_client_asks_for_the_close(probe, value):
    with probe.connect() as wire:
        response = wire.request("GET", "/", f"Connection: {value}").response()
        assert response.body == b"hello"
        assert response.header("connection") == "close"
        assert wire.rest() == b""


@pytest.mark.parametrize(
    "request_", [f"GET {target} HTTP/1.0\r\n\r\n" for target in ("/", "/stream")] + ["GET /\r\n\r\n"]
)
@pytest.mark.alone
def test_the_last_answer_is_not_held_back(probe, request_):
    """It leaves in one segment with the end: a kernel that waits for that gives up after 200 ms."""
    begin = time.monotonic()
    for _ in range(10):
        with probe.connect() as wire:
            assert wire.send(request_.encode()).rest()
    assert time.monotonic() - begin < 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="waits at named pipes")
def test_what_comes_while_the_last_answer_is_made_does_not_cut_it(probe, tmp_path):
    """> the server performs a lingering close — RFC 9112, 9.6"""
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    steps = [f"open({str(begun)!r}, 'w').close()", f"open({str(go)!r}).close()", "await start()", "await body(b'done')"]
    with probe.connect() as wire:
        wire.request("GET", "/script", script(*steps), "Connection: close")
        begun.open().close()
        wire.send(b"\r\n")
        go.open("w").close()
        assert wire.response().body == b"done"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_a_client_that_sends_nothing_more_is_not_waited_for(probe):
    """Others are read from for two seconds more, lest a reset overtakes the answer."""

    def descriptors() -> int:
        return len(list(Path(f"/proc/{probe.worker}/fd").iterdir()))

    with probe.connect() as idle:
        idle.send(GET).response()
        before = descriptors()
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(probe.connect()) for _ in range(10)]
            for wire in wires:
                assert wire.request("GET", "/", "Connection: close").response().body == b"hello"
                assert wire.rest() == b""
            deadline = time.monotonic() + 1
            while descriptors() > before:
                assert time.monotonic() < deadline


def test_what_comes_behind_the_last_request_does_not_cut_the_answer(probe):
    with probe.connect() as wire:
        wire.send(request_bytes("GET", "/", "Connection: close") + b"\r\n" + b"x" * 100_000)
        assert wire.response().body == b"hello"
        assert wire.rest() == b""


def test_application_asks_for_the_close(probe):
    with probe.connect() as wire:
        steps = ["await start(200, [(b'connection', b'close')])", "await body(b'x')"]
        assert wire.request("GET", "/script", script(*steps)).response().header("connection") == "close"
        assert wire.rest() == b""


def test_http10_closes_by_default(probe):
    with probe.connect() as wire:
        response = wire.send(b"GET / HTTP/1.0\r\n\r\n").response()
        assert response.body == b"hello"
        assert response.header("content-length") == "5"
        assert wire.rest() == b""


def test_http10_keep_alive(probe):
    with probe.connect() as wire:
        for _ in range(3):
            response = wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response()
            assert response.body == b"hello"
            assert response.header("connection") == "keep-alive"


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"])
def test_http10_stream_ends_with_the_connection(probe, keep):
    with probe.connect() as wire:
        wire.send(b"GET /stream?n=2&size=3 HTTP/1.0\r\n" + keep + b"\r\n")
        response = wire.response()
        assert response.header("transfer-encoding") is None
        assert response.body == b"aaabbb"


def test_keep_alive_switched_off(server):
    probe = server("asgi_probe:app", "asginl", "--no-http1-keep-alive")
    with probe.connect() as wire:
        response = wire.send(GET).response()
        assert response.body == b"hello"
        assert response.header("connection") == "close"
        assert wire.rest() == b""


def test_pipelining(probe):
    requests = []
    expected = []
    for number in range(100):
        body = b"%d" % number * (number % 7)
        requests.append(request_bytes("POST", "/echo", body=body) if number % 3 else GET)
        expected.append(body if number % 3 else b"hello")
    with probe.connect() as wire:
        wire.send(b"".join(requests))
        assert [wire.response().body for _ in requests] == expected


def test_pipelined_answers_keep_their_order(probe):
    mark = probe.mark()
    with probe.connect() as wire:
        wire.send(request_bytes("GET", "/wait?gate=pipeline") + GET)
        probe.note("waiting", mark)
        assert probe.get("/open/pipeline").body == b"open"
        assert wire.response().body == b"pipeline"
        assert wire.response().body == b"hello"


def test_pipelining_ends_with_the_close(probe):
    with probe.connect() as wire:
        wire.send(GET + request_bytes("GET", "/", "Connection: close") + GET)
        assert wire.response().body == b"hello"
        assert wire.response().header("connection") == "close"
        assert wire.rest() == b""


EXPECT = "Expect: 100-continue"


def test_continue_goes_out_when_the_application_reads(probe):
    with probe.connect() as wire:
        wire.request("POST", "/count?gate=continue", EXPECT, "Content-Length: 5")
        assert wire.is_silent(0.3)
        probe.get("/open/continue")
        assert wire.head().status == 100
        response = wire.send(b"hello").response()
        assert (response.body, response.informational) == (b"5", [])
        assert wire.send(GET).response().body == b"hello"


def test_no_continue_when_the_application_does_not_read(probe):
    with probe.connect() as wire:
        response = wire.request("POST", "/", EXPECT, "Content-Length: 5").response()
        assert (response.status, response.body, response.informational) == (200, b"hello", [])
        if response.header("connection") == "close":
            assert wire.rest() == b""
        else:
            assert wire.send(b"hello" + GET).response().body == b"hello"


def test_no_continue_for_http10(probe):
    with probe.connect() as wire:
        wire.send(b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert wire.is_silent(0.2)
        response = wire.send(b"hello").response()
        assert (response.body, response.informational) == (b"hello", [])


def test_small_body_left_unread_is_skipped(probe):
    with probe.connect() as wire:
        for _ in range(3):
            assert wire.request("POST", "/", body=b"x" * 500).response().body == b"hello"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_body_left_unread_does_not_become_a_request(probe, framing):
    """The connection is closed, or the next request is answered in order."""
    smuggled = request_bytes("GET", "/status?code=418")
    body = smuggled * (1_000_000 // len(smuggled))
    if framing == "length":
        data = request_bytes("POST", "/", body=body)
    else:
        data = request_bytes("POST", "/", "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with probe.connect() as wire:
        answers = []
        with contextlib.suppress(Incomplete, ConnectionError):
            wire.send(data + GET)
            answers.append(wire.response().body)
            answers.append(wire.response().body)
        assert answers == [b"hello"] * len(answers)
    assert probe.get("/").body == b"hello"


TIMEOUT = 1.0
LATE = {
    "nothing": b"",
    "part of a request line": b"GE",
    "part of a head": b"GET / HTTP/1.1\r\nHost: a\r\n",
    "part of an HTTP/2 preface": b"PRI * HT",
    "an answered request": GET,
    "an answered request and part of the next": GET + b"GET / HT",
}


def test_header_read_timeout(server):
    """Whoever sends no complete head in time is left, without words or with a 408; so is one that stays idle."""
    options = ("--http1-header-read-timeout", str(int(TIMEOUT * 1000)), "--keep-alive-timeout", str(int(TIMEOUT)))
    probe = server("asgi_probe:app", "asginl", *options)
    started = time.monotonic()
    wires: dict[str, Wire] = {name: probe.connect().send(data) for name, data in LATE.items()}
    for name, wire in wires.items():
        if "answered" in name:
            assert wire.response().body == b"hello"
    for name, wire in wires.items():
        with wire:
            assert wire.rest()[:12] in (b"", b"HTTP/1.1 408"), name
            assert time.monotonic() - started > TIMEOUT - 0.1, name
    assert time.monotonic() - started < TIMEOUT + 1.0
    assert probe.get("/").body == b"hello"


def test_buffer_size_is_the_limit_of_the_head(server):
    probe = server("asgi_probe:app", "asginl", "--http1-buffer-size", "8192")
    assert probe.get("/", "X-A: " + "v" * 7000).status == 200
    assert probe.get("/", "X-A: " + "v" * 9000).status == 431
    assert probe.request("POST", "/echo", body=b"x" * 100_000).body == b"x" * 100_000


def noise(seed: int) -> bytes:
    """Random bytes, or a valid request with random damage."""
    chance = random.Random(seed)
    if seed % 3 == 0:
        return chance.randbytes(chance.randrange(1, 2000))
    chunked = "POST /drain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    valid = bytearray(chunked.encode() if seed % 3 == 1 else request_bytes("POST", "/drain", body=b"x" * 50))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(valid))
        damage = chance.choice([b"", b"\r", b"\n", b"\0", b" ", b":", chance.randbytes(1), valid[:at]])
        valid[at : at + chance.randrange(0, 3)] = damage
    return bytes(valid)


def test_noise(probe):
    """A status or a close for each, and no word in the log."""
    mark = probe.mark()
    wires = []
    for seed in range(300):
        wire = probe.connect()
        wires.append(wire)
        try:
            wire.send(noise(seed))
            wire.half_close()
        except OSError:
            pass
    for wire in wires:
        with wire:
            answer = wire.rest()
            assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert probe.get("/").body == b"hello"
    assert len(probe.lines(mark)) <= 1


def test_truncated_requests(probe):
    """Every prefix of a request, then the end."""
    data = request_bytes("POST", "/drain", "X-A: b", body=b"body")
    wires = [probe.connect().send(data[:at]) for at in range(len(data))]
    for wire in wires:
        wire.half_close()
    for at, wire in enumerate(wires):
        with wire:
            answer = wire.rest()
            assert answer == b"" or answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 500"), at
    assert probe.get("/").body == b"hello"
