"""Requests and responses that a protocol has no form for: refused by both, and the connection goes on where it can."""

from __future__ import annotations

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server, script
from .test_hostile import cpu

PROTOCOL_ERROR = 1
TARGETS = {
    "asginl": ("asgi_probe:app", "asginl"),
    "rsgi": ("rsgi_probe:app", "rsgi"),
    "wsgi": ("wsgi_probe:app", "wsgi", "--blocking-threads", "1"),
    "wsgi-pool": ("wsgi_probe:app", "wsgi", "--blocking-threads", "8"),
}


@pytest.fixture(params=list(TARGETS))
def app(request: pytest.FixtureRequest, server: ServerFactory) -> Server:
    return server(*TARGETS[request.param])


@pytest.mark.parametrize("target", ["/caf\u00e9", "/?q=\u00e9", "/\u65e5"])
def test_raw_bytes_in_a_target(app: Server, target: str) -> None:
    """A URI is ASCII (RFC 3986, 2): 400 on both protocols."""
    with app.connect() as wire:
        wire.send(b"GET " + target.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.response().status == 400
    with H2Wire(app.address, validate=False) as http2:
        assert http2.request("GET", target).status == 400
        assert http2.request("GET", "/").body == b"hello"


@pytest.mark.parametrize("authority", ["x:abc", "x,y", "x y", "user@h", "a/b", "h:80:80"])
def test_authorities_of_http2(app: Server, authority: str) -> None:
    with H2Wire(app.address, validate=False) as wire:
        assert wire.answer(wire.start("GET", "/", authority=authority)).reset == PROTOCOL_ERROR
        assert wire.request("GET", "/").body == b"hello"


@pytest.mark.parametrize("value", [" a", "a ", "\ta", "a\t", " "])
def test_spaces_around_values_of_http2(app: Server, value: str) -> None:
    """RFC 9113, 8.2.1: malformed."""
    with H2Wire(app.address, validate=False) as wire:
        assert wire.answer(wire.start("GET", "/", ("x-a", value))).reset == PROTOCOL_ERROR
        assert wire.request("GET", "/", ("x-a", "a b")).body == b"hello"


def test_fragments_of_http1(app: Server) -> None:
    """A target has none (RFC 9112, 3.2). Over HTTP/2 the codec leaves it out."""
    with app.connect() as wire:
        assert wire.request("GET", "/#a").response().status == 400


def test_hosts_of_http1(app: Server) -> None:
    for host in (b"x:abc", b"x,y", b"x y", b"user@h", b"a/b", b"h:80:80"):
        with app.connect() as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            assert wire.response().status == 400, host


@pytest.mark.alone
def test_many_options_of_a_connection(app: Server) -> None:
    """Ninety fields with two thousand options each, for which every field was looked up: 40 ms of the processor."""
    spent = {}
    for name in ("Collection", "Connection"):
        fields = [f"x-{number}: x" for number in range(90)] + [f"{name}: " + ",".join("x" * 2000)] * 90
        assert app.get("/", *fields).status == 200
        before = cpu(app)
        for _ in range(30):
            assert app.get("/", *fields).status == 200
        spent[name] = cpu(app) - before
    assert spent["Connection"] < 4 * spent["Collection"] + 0.05, "ticks of the clock are 10 ms"


MANY = {
    "asginl": ["await start(200, [(b'x-%d' % n, b'') for n in range(25_000)])", "await body(b'x')"],
    "rsgi": ["protocol.response_str(200, [('x-%d' % n, '') for n in range(25_000)], 'x')"],
    "wsgi": ["start_response('200 OK', [('x-%d' % n, '') for n in range(25_000)])", "result = [b'x']"],
}


def test_more_fields_than_http2_can_hold(app: Server) -> None:
    """500 for that stream. Its neighbours and the connection go on."""
    name, value = script(*MANY[str(app.spec.interface)]).split(": ", 1)
    with H2Wire(app.address) as wire:
        answer = wire.request("GET", "/script", (name, value))
        assert (answer.status, answer.body) == (500, b"")
        assert wire.request("GET", "/").body == b"hello"
