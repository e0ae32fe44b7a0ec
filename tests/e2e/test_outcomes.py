"""Failing applications, as their clients see them, and the errors that the applications get."""

from __future__ import annotations

import contextlib

import pytest

from .server import Server, script
from .wire import Incomplete

ASGI, RSGI, WSGI, POOL = "asgi", "rsgi", "wsgi", "wsgi-pool"
INTERFACES = [ASGI, RSGI, WSGI, POOL]


@pytest.fixture
def probe_of(server):
    def get(interface: str) -> Server:
        if interface == ASGI:
            return server("asgi_probe:app", "asginl")
        if interface == RSGI:
            return server("rsgi_probe:app", "rsgi")
        return server("wsgi_probe:app", "wsgi", "--blocking-threads", "1" if interface == WSGI else "8")

    return get


def check_failure(probe: Server, steps: list[str], error: str) -> None:
    """The request gets a 500, its traceback one place in the log, and others don't notice."""
    mark = probe.mark()
    response = probe.get("/script", script(*steps))
    assert response.status == 500
    assert response.body in (b"", b"Internal server error")
    assert response.header("server") == "granian"
    assert probe.get("/").body == b"hello"
    probe.wait_line("Application callable raised an exception", mark)
    probe.wait_line(r"^Traceback \(most recent call last\):", mark)
    probe.wait_line(rf"^{error}", mark)
    assert probe.log(mark).count("Application callable raised") == 1


RAISES = {
    "ValueError('boom')": "ValueError: boom",
    "BaseException('odd')": "BaseException: odd",
    "SystemExit(3)": "SystemExit: 3",
    "KeyboardInterrupt()": "KeyboardInterrupt",
    "GeneratorExit()": "GeneratorExit",
    "StopIteration()": "",
    "MemoryError()": "MemoryError",
    "UnicodeError('caf\\u00e9')": "UnicodeError: caf",
    "type('Odd', (BaseException,), {'__str__': lambda self: 1/0})()": "",
}


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("error", RAISES)
def test_raise_before_the_response(probe_of, interface, error):
    check_failure(probe_of(interface), [f"!raise {error}"], RAISES[error])


@pytest.mark.parametrize("interface", [ASGI, RSGI])
def test_cancelled_error_before_the_response(probe_of, interface):
    check_failure(probe_of(interface), ["!raise asyncio.CancelledError('gone')"], "asyncio.exceptions.CancelledError")


def test_raise_after_a_head_that_has_not_left(probe_of):
    check_failure(probe_of(ASGI), ["await start()", "!raise ValueError('boom')"], "ValueError: boom")
    for interface in (WSGI, POOL):
        steps = ["start_response('200 OK', [])", "!raise ValueError('boom')"]
        check_failure(probe_of(interface), steps, "ValueError: boom")


def test_raise_after_a_head_that_has_announced_trailers(probe_of):
    announced = "{'type': 'http.response.start', 'status': 200, 'headers': [], 'trailers': True}"
    check_failure(probe_of(ASGI), [f"await send({announced})", "!raise ValueError('boom')"], "ValueError: boom")


def test_raise_before_the_first_chunk_of_a_wsgi_iterator(probe_of):
    generator = "def chunks():\n  raise ValueError('boom')\n  yield b''"
    steps = ["start_response('200 OK', [])", generator, "result = chunks()"]
    for interface in (WSGI, POOL):
        check_failure(probe_of(interface), steps, "ValueError: boom")


SILENT = {ASGI: [["pass"], ["await start()"]], RSGI: [["pass"]], WSGI: [["pass"]], POOL: [["pass"]]}


@pytest.mark.parametrize("interface", INTERFACES)
def test_return_without_a_response(probe_of, interface):
    probe = probe_of(interface)
    for steps in SILENT[interface]:
        response = probe.get("/script", script(*steps))
        assert response.status == 500
        assert response.header("server") == "granian"
        assert probe.get("/").body == b"hello"


@pytest.mark.parametrize("interface", INTERFACES)
def test_connection_is_usable_or_closed_after_a_failure(probe_of, interface):
    with probe_of(interface).connect() as wire:
        first = wire.request("GET", "/script", script("!raise ValueError('boom')")).response()
        assert first.status == 500
        if first.header("connection") == "close":
            assert wire.rest() == b""
        else:
            assert wire.request("GET", "/").response().body == b"hello"


GENERATOR = "def chunks():\n  yield b'part'\n  {}"
BREAKS = {
    "asgi raises": (ASGI, ["await start()", "await body(b'part', True)", "!raise ValueError('boom')"]),
    "asgi exits": (ASGI, ["await start()", "await body(b'part', True)", "!raise SystemExit(1)"]),
    "asgi returns": (ASGI, ["await start()", "await body(b'part', True)"]),
    "rsgi raises": (RSGI, ["t = protocol.response_stream()", "await t.send_str('part')", "!1/0"]),
    "rsgi exits": (RSGI, ["t = protocol.response_stream()", "await t.send_str('part')", "!raise SystemExit(1)"]),
    "wsgi raises": (WSGI, [GENERATOR.format("1/0"), "result = chunks()"]),
    "wsgi exits": (WSGI, [GENERATOR.format("raise SystemExit(1)"), "result = chunks()"]),
    "wsgi yields str": (WSGI, [GENERATOR.format("yield 'str'"), "result = chunks()"]),
    "wsgi raises after write": (WSGI, ["w(b'part')", "!raise ValueError('boom')"]),
}
LENGTHS = {"chunked": "", "length": "100"}


@pytest.mark.parametrize("framing", LENGTHS)
@pytest.mark.parametrize("name", BREAKS)
def test_failure_amid_the_body_cuts_the_connection(probe_of, name, framing):
    """The client never takes a part for the whole."""
    interface, steps = BREAKS[name]
    length = LENGTHS[framing]
    if interface == ASGI and length:
        steps = [steps[0].replace("()", f"(200, [(b'content-length', b'{length}')])"), *steps[1:]]
    elif interface == RSGI and length:
        steps = [steps[0].replace("()", f"(200, [('content-length', '{length}')])"), *steps[1:]]
    elif interface == WSGI:
        headers = [("Content-Length", length)] if length else []
        steps = [f"w = start_response('200 OK', {headers})", *steps]
    for one in (interface, POOL) if interface == WSGI else (interface,):
        probe = probe_of(one)
        with probe.connect() as wire:
            wire.request("GET", "/script", script(*steps))
            with pytest.raises(Incomplete):
                wire.response()
        assert probe.get("/").body == b"hello"


@pytest.mark.parametrize("interface", INTERFACES)
def test_raise_after_the_response(probe_of, interface):
    steps = {
        ASGI: ["await start()", "await body(b'whole')", "!raise ValueError('late')"],
        RSGI: ["protocol.response_str(200, [], 'whole')", "!raise ValueError('late')"],
        WSGI: [
            "start_response('200 OK', [])",
            "class Late(list):\n  def close(self): raise ValueError('late')",
            "result = Late([b'whole'])",
        ],
    }[interface.removesuffix("-pool")]
    probe = probe_of(interface)
    mark = probe.mark()
    response = probe.get("/script", script(*steps))
    assert (response.status, response.body) == (200, b"whole")
    probe.wait_line("ValueError: late", mark)


TOO_MANY = {
    ASGI: [["await start(200, [(b'content-length', b'3')])", "!await body(b'hello')"]],
    RSGI: [["!protocol.response_str(200, [('content-length', '3')], 'hello')"]],
    WSGI: [["start_response('200 OK', [('Content-Length', '3')])", "result = [b'hello']"]],
}
STREAMED_TOO_MANY = {
    ASGI: [TOO_MANY[ASGI][0][0], "!await body(b'he', True)", "!await body(b'llo')"],
    RSGI: [
        "t = protocol.response_stream(200, [('content-length', '3')])",
        "!await t.send_str('he')",
        "!await t.send_str('llo')",
    ],
    WSGI: [TOO_MANY[WSGI][0][0], "result = iter([b'he', b'llo'])"],
}


@pytest.mark.parametrize("interface", INTERFACES)
def test_more_bytes_than_the_content_length(probe_of, interface):
    """Never a byte past the length: what follows belongs to the next response."""
    name = interface.removesuffix("-pool")
    probe = probe_of(interface)
    for steps in (*TOO_MANY[name], STREAMED_TOO_MANY[name]):
        with probe.connect() as wire:
            wire.request("GET", "/script", script(*steps))
            try:
                response = wire.response()
            except Incomplete:
                continue
            if response.status == 200:
                assert response.body == b"hel"
            else:
                assert response.status == 500
            if response.header("connection") != "close":
                with contextlib.suppress(Incomplete, ConnectionError):
                    assert wire.request("GET", "/").response().body == b"hello"
    assert probe.get("/").body == b"hello"


TOO_FEW = {
    ASGI: ["await start(200, [(b'content-length', b'9')])", "!await body(b'hello')"],
    RSGI: ["!protocol.response_str(200, [('content-length', '9')], 'hello')"],
    WSGI: ["start_response('200 OK', [('Content-Length', '9')])", "result = [b'hello']"],
}


@pytest.mark.parametrize("interface", INTERFACES)
def test_fewer_bytes_than_the_content_length(probe_of, interface):
    """An error, or a body that is cut short; never a response that waits for more."""
    probe = probe_of(interface)
    with probe.connect() as wire:
        wire.request("GET", "/script", script(*TOO_FEW[interface.removesuffix("-pool")]))
        with contextlib.suppress(Incomplete):
            assert wire.response().status == 500
    assert probe.get("/").body == b"hello"


@pytest.mark.parametrize("interface", INTERFACES)
def test_failure_of_a_body_that_ends_with_the_connection(probe_of, interface):
    """A peer that knows the end by the close must not take this one for it."""
    steps = {
        ASGI: ["await start()", "await body(b'part', True)", "await asyncio.sleep(0.1)"],
        RSGI: ["t = protocol.response_stream()", "await t.send_bytes(b'part')", "await asyncio.sleep(0.1)"],
    }.get(interface, ["start_response('200 OK', [])(b'part')"])
    with probe_of(interface).connect() as wire:
        wire.send(f"GET /script HTTP/1.0\r\n{script(*steps, '!raise ValueError')}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            while wire.socket.recv(1 << 16):
                pass
