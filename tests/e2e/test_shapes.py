"""Header fields in any shape of pairs, bytes in any bytes-like object; fields of the handshake's own."""

from __future__ import annotations

import json
import re

import pytest

from .h2wire import H2Wire
from .server import Server, script
from .websocket import UPGRADE, open_websocket

ASGI_HEADERS = [
    "[[b'x-a', b'1'], [b'x-b', b'2']]",
    "((b'x-a', b'1'), [b'x-b', b'2'])",
    "(pair for pair in [(b'x-a', b'1'), (b'x-b', b'2')])",
    "{b'x-a': b'1', b'x-b': b'2'}.items()",
    "[(bytearray(b'x-a'), memoryview(b'1')), [memoryview(b'x-b'), bytearray(b'2')]]",
    "__import__('collections').deque([__import__('collections').deque([b'x-a', b'1']), (b'x-b', b'2')])",
]
START = "await send({'type': 'http.response.start', 'status': 200, 'headers': %s})"

TRAILERS = "await send({'type': 'http.response.trailers', 'headers': %s})"
DENIAL = "await send({'type': 'websocket.http.response.start', 'status': 401, 'headers': %s})"


def exchange(server: Server, protocol: str, *steps: str) -> tuple[int, dict[str, str], bytes, dict[str, str]]:
    """Status, fields, body and trailers of the response that these steps make."""
    if protocol == "h1":
        response = server.get("/script", script(*steps), "TE: trailers")
        return response.status, dict(response.headers), response.body, dict(response.trailers)
    with H2Wire(server.address) as wire:
        name, value = script(*steps).split(": ", 1)
        answer = wire.request("GET", "/script", (name, value), ("te", "trailers"))
        return answer.status, dict(answer.headers), bytes(answer.body), dict(answer.trailers)


@pytest.fixture(params=["h1", "h2"])
def protocol(request) -> str:
    return request.param


@pytest.mark.parametrize("headers", ASGI_HEADERS)
def test_asgi_responses(server, loop, protocol, headers):
    app = server("asgi_probe:app", "asginl", loop=loop)
    end = "await send({'type': 'http.response.body', 'body': None})"
    status, fields, body, _ = exchange(app, protocol, START % headers, end)
    assert (status, fields["x-a"], fields["x-b"], body) == (200, "1", "2", b"")


BODIES = ["bytearray(b'abcd')", "memoryview(b'abcd')", "__import__('array').array('H', [0x6261, 0x6463])"]


@pytest.mark.parametrize("body", BODIES)
def test_asgi_bodies(server, protocol, body):
    app = server("asgi_probe:app", "asginl")
    end = f"await body({body})"
    assert exchange(app, protocol, START % "[]", end)[2] == b"abcd"


@pytest.mark.parametrize("headers", ASGI_HEADERS)
def test_asgi_trailers_and_hints(server, protocol, headers):
    app = server("asgi_probe:app", "asginl")
    steps = [
        "await send({'type': 'http.response.early_hint', 'links': (bytearray(b'</a>'), memoryview(b'</b>'))})",
        "await send({'type': 'http.response.start', 'status': 200, 'headers': [], 'trailers': True})",
        "await body(b'x')",
        TRAILERS % headers,
    ]
    mark = app.mark()
    _, _, body, trailers = exchange(app, protocol, *steps)
    assert (body, trailers) == (b"x", {"x-a": "1", "x-b": "2"})
    assert app.note("script", mark) == ["ok"] * 4


@pytest.mark.parametrize("headers", ASGI_HEADERS)
def test_asgi_websockets(server, headers):
    app = server("ws_asgi:app", "asginl")
    with app.connect() as wire:
        step = f"await accept(headers={headers})"
        response = wire.request("GET", "/", *UPGRADE, script(step, "await close()")).response()
        assert (response.status, response.header("x-a"), response.header("x-b")) == (101, "1", "2")
    with app.connect() as wire:
        steps = [
            DENIAL % headers,
            "await send({'type': 'websocket.http.response.body', 'body': None})",
        ]
        response = wire.request("GET", "/", *UPGRADE, script(*steps)).response()
        assert (response.status, response.header("x-a"), response.header("x-b")) == (401, "1", "2")


TEXT_HEADERS = [re.sub(r"(?<!-)b'", "'", headers) for headers in ASGI_HEADERS if "bytearray" not in headers]


@pytest.mark.parametrize("headers", TEXT_HEADERS)
def test_rsgi(server, protocol, headers):
    app = server("rsgi_probe:app", "rsgi")
    step = f"protocol.response_str(200, {headers}, 'x')"
    status, fields, body, _ = exchange(app, protocol, step)
    assert (status, fields["x-a"], fields["x-b"], body) == (200, "1", "2", b"x")
    app = server("ws_rsgi:app", "rsgi")
    with app.connect() as wire:
        step = f"await protocol.accept(headers={headers})"
        response = wire.request("GET", "/", *UPGRADE, script(step)).response()
        assert (response.status, response.header("x-a"), response.header("x-b")) == (101, "1", "2")


@pytest.mark.parametrize("headers", TEXT_HEADERS)
@pytest.mark.parametrize("threads", ["1", "8"])
def test_wsgi(server, protocol, threads, headers):
    app = server("wsgi_probe:app", "wsgi", "--blocking-threads", threads)
    step = f"start_response('200 OK', {headers})"
    status, fields, _, _ = exchange(app, protocol, step)
    assert (status, fields["x-a"], fields["x-b"]) == (200, "1", "2")


@pytest.mark.parametrize("interface", ["asginl", "rsgi"])
def test_fields_of_the_handshakes_own_are_left_out(server, interface):
    """One warning, and the connection opens with the subprotocol that was chosen."""
    app = server({"asginl": "ws_asgi:app", "rsgi": "ws_rsgi:app"}[interface], interface, fresh=True)
    step = {
        "asginl": "await accept(subprotocol='a', headers=[(b'Sec-WebSocket-Protocol', b'b'), (b'b', b'b')])",
        "rsgi": "await protocol.accept(subprotocol='a', headers=[('sec-websocket-protocol', 'b'), ('b', 'b')])",
    }[interface]
    for _ in range(2):
        with app.connect() as wire:
            offer = "Sec-WebSocket-Protocol: a, b"
            response = wire.request("GET", "/", *UPGRADE, offer, script(step)).response()
            assert (response.status, response.header("sec-websocket-protocol")) == (101, "a")
            assert response.header("b") == "b"
    app.mark()
    warnings = [line for line in app.lines() if "[WARNING]" in line]
    assert len(warnings) == 1 and "sec-websocket-protocol" in warnings[0].lower()


def test_key_with_stray_bits(server):
    """Sixteen bytes, with bits behind them that a strict encoder leaves zero."""
    app = server("ws_asgi:app", "asginl")
    upgrade = [line.replace("Q==", "R==") for line in UPGRADE]
    with app.connect() as wire:
        assert wire.request("GET", "/", *upgrade).response().status == 101


def test_rsgi_close_has_no_data(server, loop):
    app = server("ws_rsgi:app", "rsgi", loop=loop)
    mark = app.mark()
    with open_websocket(app) as websocket:
        websocket.close(4001, "enough")
    assert app.note("echo.end", mark) == [0, None, 4001, "enough"]


def test_rsgi_file_range_by_either_name(server, protocol, tmp_path):
    app = server("rsgi_probe:app", "rsgi")
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    for step in [
        f"protocol.response_file_range(206, [], {json.dumps(str(path))}, 2, 5)",
        f"protocol.response_file_range(206, [], file_path={json.dumps(str(path))}, start=2, end=5)",
        f"protocol.response_file_range(206, [], file={json.dumps(str(path))}, start=2, end=5)",
    ]:
        assert exchange(app, protocol, step)[::2] == (206, b"234")
