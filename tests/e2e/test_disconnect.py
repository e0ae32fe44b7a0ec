"""Clients that leave: the application learns it, and nothing else is harmed."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from .server import Server, script
from .wire import Wire, request_bytes

LEAVE = {"fin": Wire.close, "rst": Wire.reset, "half": Wire.half_close}


@pytest.fixture
def asgi(server, loop) -> Server:
    return server("asgi_probe:app", "asginl", loop=loop)


@pytest.fixture
def rsgi(server, loop) -> Server:
    return server("rsgi_probe:app", "rsgi", loop=loop)


@pytest.fixture(params=["1", "8"])
def wsgi(request, server) -> Server:
    return server("wsgi_probe:app", "wsgi", "--blocking-threads", request.param)


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("n", [1, 3])
def test_asgi_receive_tells_of_it(asgi, how, n):
    mark = asgi.mark()
    with asgi.connect() as wire:
        wire.request("GET", f"/watch?name=left-{how}&n={n}")
        asgi.note(f"left-{how}.started", mark)
        LEAVE[how](wire)
        assert asgi.note(f"left-{how}", mark) == ["http.disconnect"] * n
        assert asgi.note(f"left-{how}.finished", mark) == "http.disconnect"


def test_asgi_receive_tells_of_it_at_once(asgi):
    delays = []
    for attempt in range(5):
        name = f"soon{attempt}"
        with asgi.connect() as wire:
            wire.request("GET", f"/watch?name={name}")
            asgi.note(f"{name}.started")
            left = time.monotonic()
        asgi.note(name)
        delays.append(time.monotonic() - left)
    assert min(delays) < 0.1, delays


@pytest.mark.parametrize("how", LEAVE)
def test_asgi_body_cut_off(asgi, how):
    mark = asgi.mark()
    with asgi.connect() as wire:
        wire.request("POST", "/upload", "Content-Length: 100", "Expect: 100-continue")
        assert wire.head().status == 100
        LEAVE[how](wire.send(b"0123456789"))
        assert asgi.note("upload", mark) == "the request was cut off"


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_asgi_send_to_nobody_neither_raises_nor_floods_the_log(asgi, how):
    mark = asgi.mark()
    name = f"endless-{how}"
    with asgi.connect() as wire:
        wire.request("GET", f"/endless?name={name}")
        assert wire.head().status == 200
        assert wire.chunk() == b"first"
        LEAVE[how](wire)
        assert asgi.note(name, mark) == "sent"
    # A thousand sends; what the log says of an earlier test's request may come now.
    assert max(Counter(asgi.lines(mark)).values(), default=0) <= 10


def test_asgi_waiting_send_ends_with_the_client(asgi):
    """An application held up by a slow reader goes on when that reader is gone."""
    n = 10_000
    with asgi.connect(receive_buffer=65536) as wire:
        wire.request("GET", f"/stream?n={n}&size=65536&name=gone")
        assert wire.head().status == 200
        wire.reset()
    deadline = time.monotonic() + 10
    while int(asgi.get("/progress?name=gone").body) < n:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("n", [1, 3])
def test_rsgi_client_disconnect(rsgi, how, n):
    mark = rsgi.mark()
    with rsgi.connect() as wire:
        wire.request("GET", f"/watch?name=left-{how}&n={n}")
        rsgi.note(f"left-{how}.started", mark)
        LEAVE[how](wire)
        assert rsgi.note(f"left-{how}", mark) == [None] * n
        assert rsgi.note(f"left-{how}.finished", mark) is None


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("sent", [10, 100_000])
def test_rsgi_client_disconnect_behind_an_upload_that_nobody_reads(rsgi, how, sent):
    mark = rsgi.mark()
    with rsgi.connect() as wire:
        wire.request("POST", f"/watch?name=upload-{how}&n=2", "Content-Length: 200000").send(b"x" * sent)
        rsgi.note(f"upload-{how}.started", mark)
        LEAVE[how](wire)
        assert rsgi.note(f"upload-{how}", mark) == [None, None]


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_rsgi_stream_to_nobody(rsgi, how):
    mark = rsgi.mark()
    name = f"stream-{how}"
    with rsgi.connect() as wire:
        wire.request("GET", f"/endless?name={name}")
        assert wire.head().status == 200
        LEAVE[how](wire)
        error, text = rsgi.note(name, mark)
        assert error.endswith("ProtocolClosed")
        assert text == "RSGI transport is closed"


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("by", ["call", "iteration"])
@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_rsgi_body_cut_off(rsgi, how, by, framing):
    mark = rsgi.mark()
    with rsgi.connect() as wire:
        wire.request("POST", f"/upload?by={by}", framing, "Expect: 100-continue")
        assert wire.head().status == 100
        LEAVE[how](wire.send(b"5\r\nhello\r\n"))
        found = rsgi.note("upload", mark)
        assert len(found) == 3, "it ended as if whole"
        assert found[1].endswith("ProtocolClosed")
        assert found[2] == "RSGI transport is closed"


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_wsgi_result_is_closed(wsgi, how):
    mark = wsgi.mark()
    with wsgi.connect(receive_buffer=65536) as wire:
        wire.request("GET", f"/stream?n=100000&size=65536&name=gone-{how}")
        assert wire.head().status == 200
        LEAVE[how](wire)
        wsgi.note(f"gone-{how}.closed", mark)
    assert wsgi.get("/").body == b"hello"
    assert "Traceback" not in wsgi.log(mark)


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_half_closed_client_gets_its_answer(server, interface):
    options = ("--blocking-threads", "8") if interface == "wsgi" else ()
    probe = server(f"{interface}_probe:app", "asginl" if interface == "asgi" else interface, *options)
    with probe.connect() as wire:
        wire.request("GET", "/").half_close()
        assert wire.response().body == b"hello"
        assert wire.rest() == b""
    mark = probe.mark()
    with probe.connect() as wire:
        wire.request("GET", f"/wait?gate=half-{interface}").half_close()
        probe.note("waiting", mark)
        probe.get(f"/open/half-{interface}")
        assert wire.response().body == f"half-{interface}".encode()
    with probe.connect() as wire:
        wire.send(request_bytes("POST", "/echo", body=b"x" * 100_000) + request_bytes("GET", "/")).half_close()
        assert wire.response().body == b"x" * 100_000
        assert wire.response().body == b"hello"
        assert wire.rest() == b""


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_half_closed_client_gets_its_stream(server, interface):
    probe = server(f"{interface}_probe:app", "asginl" if interface == "asgi" else interface)
    with probe.connect() as wire:
        wire.request("GET", "/stream?n=1000&size=1024").half_close()
        assert len(wire.response().body) == 1000 * 1024
        assert wire.rest() == b""


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_no_task_is_left_behind(server, interface):
    probe = server(f"{interface}_probe:app", "asginl" if interface == "asgi" else interface)
    before = int(probe.get("/tasks").body)
    wires = [probe.connect().request("GET", "/watch?name=many") for _ in range(100)]
    wires += [probe.connect().request("GET", "/endless?name=many") for _ in range(20)]
    assert probe.get("/").body == b"hello"
    for wire in wires:
        wire.close()
    deadline = time.monotonic() + 10
    while int(probe.get("/tasks").body) > before:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_waiting_tasks_survive_garbage_collection(server, interface):
    probe = server(f"{interface}_probe:app", "asginl" if interface == "asgi" else interface)
    mark = probe.mark()
    wires = [probe.connect().request("GET", f"/watch?name=kept{n}") for n in range(50)]
    for n in range(50):
        probe.note(f"kept{n}.started", mark)
    assert probe.get("/collect").body == b"collected"
    for n, wire in enumerate(wires):
        wire.close()
        probe.note(f"kept{n}.finished", mark)


def test_pipelining_client_leaves(asgi):
    for _ in range(10):
        with asgi.connect() as wire:
            wire.send(request_bytes("POST", "/echo", body=b"x" * 1000) * 200)
            wire.reset()
    assert asgi.get("/").body == b"hello"


def test_connect_and_leave(asgi):
    for _ in range(200):
        asgi.connect().close()
    for _ in range(200):
        asgi.connect().reset()
    assert asgi.get("/").body == b"hello"


@pytest.mark.alone
def test_many_that_wait_cost_nothing(rsgi):
    mark = rsgi.mark()
    with rsgi.connect() as wire:
        wire.request("GET", "/watch?name=crowd&n=100")
        rsgi.note("crowd.started", mark)
        before = cpu_seconds(rsgi.worker)
        time.sleep(0.5)
        assert cpu_seconds(rsgi.worker) - before < 0.2
        wire.close()
        assert rsgi.note("crowd", mark) == [None] * 100


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_cancelled_waits_are_forgotten(asgi):
    steps = (
        "await receive()",
        "async def attempt(n):\n  for _ in range(n):\n    task = asyncio.ensure_future(receive())\n"
        "    await asyncio.sleep(0)\n    task.cancel()\n    await asyncio.sleep(0)",
        "await attempt(1000)",
        "await start()",
        "await body(b'1', True)",
        "await attempt(30000)",
        "await body(b'2')",
    )
    with asgi.connect() as wire:
        wire.request("GET", "/script", script(*steps))
        assert wire.head().status == 200
        assert wire.chunk() == b"1"
        before = asgi.memory()
        assert wire.chunk() == b"2"
        assert asgi.memory() - before < 4 << 20
