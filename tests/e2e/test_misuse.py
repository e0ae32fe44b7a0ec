"""Wrong messages, wrong order, wrong values: refused to the application, harmless to the rest."""

from __future__ import annotations

import pytest

from .server import Server, script


@pytest.fixture
def asgi(server) -> Server:
    return server("asgi_probe:app", "asginl")


@pytest.fixture(params=["1", "8"])
def wsgi(request, server) -> Server:
    return server("wsgi_probe:app", "wsgi", "--blocking-threads", request.param)


FLOW = "RuntimeError: ASGI flow error: "
SENT = "RuntimeError: Unsupported ASGI message"
START = "{'type': 'http.response.start', 'status': 200, 'headers': []}"
ORDER = [
    (["await body(b'x')"], f"{FLOW}Response not started"),
    (["await send({'type': 'http.response.pathsend', 'path': '/etc/hostname'})"], f"{FLOW}Response not started"),
    (["await start()", "await start()"], f"{FLOW}Response already started"),
    (["await start()", "await body(b'x')", "await body(b'y')"], f"{FLOW}Response already finished"),
    (["await start()", "await body(b'x', True)", "await start()"], f"{FLOW}Response already started"),
    (["await send({'type': 'nonsense'})"], SENT),
    (["await send({'type': 'websocket.accept'})"], SENT),
    (["await send({'type': 'http.response.start'})"], SENT),
]


@pytest.mark.parametrize(("steps", "error"), ORDER)
def test_asgi_flow_errors(asgi, steps, error):
    """The message is refused; the response goes on from where it was."""
    mark = asgi.mark()
    started = any(step == "await start()" for step in steps)
    more = any("True" in step for step in steps)
    finished = "Response already finished" in error
    rest = [] if finished else ["await body(b'y')"] if started else ["await start()", "await body(b'xy')"]
    if started and not more and not finished:
        rest = ["await body(b'xy')"]
    response = asgi.get("/script", script(*steps, *rest))
    outcomes = asgi.note("script", mark)
    assert outcomes[len(steps) - 1] == error
    assert all(outcome == "ok" for at, outcome in enumerate(outcomes) if at != len(steps) - 1)
    assert (response.status, response.body) == (200, b"x" if finished else b"xy")


def test_asgi_body_after_a_finished_stream(asgi):
    mark = asgi.mark()
    steps = ["await start()", "await body(b'x', True)", "await body(b'y')", "await body(b'z')"]
    assert asgi.get("/script", script(*steps)).body == b"xy"
    outcomes = asgi.note("script", mark)
    assert outcomes[:3] == ["ok"] * 3
    assert outcomes[3].startswith(FLOW)


ADD = "field = [(b'x-a', b'x' * 1000)]"
TRAILERS = "await send({'type': 'http.response.trailers', 'headers': field, 'more_trailers': True})"
END = "await send({'type': 'http.response.trailers', 'headers': [], 'more_trailers': False})"


def test_trailers_that_are_added_are_bounded(asgi, server):
    mark = asgi.mark()
    first = "await send({'type': 'http.response.start', 'status': 200, 'headers': [], 'trailers': True})"
    steps = [ADD, first, "await body(b'x')", f"for n in range(1000): {TRAILERS}", END]
    assert asgi.get("/script", script(*steps)).body == b"x"
    assert asgi.note("script", mark) == [*["ok"] * 3, f"{FLOW}Response trailers exceed 64 KiB", "ok"]
    rsgi = server("rsgi_probe:app", "rsgi")
    mark = rsgi.mark()
    steps = ["t = protocol.response_stream()", "for n in range(1000): t.add_trailers([('x-a', 'x' * 1000)])"]
    assert rsgi.get("/script", script(*steps, "await t.send_str('x')")).body == b"x"
    assert rsgi.note("script", mark) == ["ok", "ProtocolError: Response trailers exceed 64 KiB", "ok"]


TYPES = [
    "await send({'type': 'http.response.start', 'status': '200', 'headers': []})",
    "await start(200, None)",
    "await start(200, [('a', 'b')])",
    "await start(200, [(b'a', b'b', b'c')])",
    "await start(200, [(b'a',)])",
    "await start(200, [(b'a b', b'c')])",
    "await start(200, [(b'', b'c')])",
    "await start(200, [(b'a', b'b\\r\\nc: d')])",
    "await start(200, [(b'a', b'b\\n')])",
    "await start(200, [(b'a', b'b\\0')])",
    "await start(200, [(b'a:', b'b')])",
    "await start(200, [(b'caf\\xe9', b'b')])",
    "await send(None)",
    "await send('http.response.start')",
    "await send([])",
    "await send({})",
    "await send({'type': None})",
    "await send({'type': 'http.response.start', 'status': None, 'headers': []})",
    "await send({'type': 'http.response.start', 'status': 200.5, 'headers': []})",
    "await start(200, 5)",
    "await start(200, 'headers')",
    "await start(200, [5])",
    "await start(200, [(b'a', 5)])",
    "await start(200, {b'a': b'b'})",
    "await start(99)",
    "await start(1000)",
    "await start(0)",
    "await start(-1)",
    "await start(2**70)",
    "await start(100)",
    "await start(101)",
    "await start(199)",
]


@pytest.mark.parametrize("step", TYPES)
def test_asgi_values_that_cannot_be_sent(asgi, step):
    mark = asgi.mark()
    response = asgi.get("/script", script(step, "await start(201)", "await body(b'after')"))
    assert asgi.note("script", mark)[0] != "ok"
    assert (response.status, response.body) == (201, b"after")
    assert asgi.get("/script", script(f"!{step}")).status == 500


BODIES = ["'str'", "5", "[b'list']", "{}"]


@pytest.mark.parametrize("value", BODIES)
def test_asgi_bodies_that_are_no_bytes(asgi, value):
    mark = asgi.mark()
    steps = ["await start()", f"await body({value})", "await body(b'after')"]
    response = asgi.get("/script", script(*steps))
    outcomes = asgi.note("script", mark)
    assert [outcomes[0], outcomes[2]] == ["ok", "ok"]
    assert outcomes[1] != "ok"
    assert response.body == b"after"
    assert asgi.get("/script", script("await start()", f"!await body({value})")).status == 500


@pytest.mark.parametrize("status", ["99", "1000", "0", "-1", "65536", "2**70", "100", "101", "199"])
@pytest.mark.parametrize("method", ["empty", "str", "bytes", "stream"])
def test_rsgi_status_that_cannot_be_sent(server, method, status):
    probe = server("rsgi_probe:app", "rsgi")
    assert probe.get("/script", script(f"!protocol.response_{method}({status}, [])")).status == 500
    assert probe.get("/").body == b"hello"


STATUSES = ["20 x", "abc", "", "1000 Big", "099 Small", "99 Small", "200OK", "-1 OK", "200 O\\r\\nK: x", "100 Continue"]


@pytest.mark.parametrize("status", STATUSES)
def test_wsgi_status_that_cannot_be_sent(wsgi, status):
    mark = wsgi.mark()
    response = wsgi.get("/script", script(f"start_response('{status}', [])", "result = [b'x']"))
    assert wsgi.note("script", mark)[0] != "ok"
    assert response.status == 500
    assert wsgi.get("/").body == b"hello"


@pytest.mark.parametrize("status", ["None", "200", "b'200 OK'"])
def test_wsgi_status_must_be_str(wsgi, status):
    assert wsgi.get("/script", script(f"!start_response({status}, [])")).status == 500


HEADERS = [
    "[('a', 'b\\r\\nc: d')]",
    "[('a', 'b\\n')]",
    "[('a', 'b\\0')]",
    "[('a b', 'c')]",
    "[('', 'c')]",
    "[('a:', 'c')]",
    "[(b'a', b'c')]",
    "[('a', b'c')]",
    "[('a', 5)]",
    "[('a', 'b', 'c')]",
    "[('a',)]",
    "['ab']",
    "None",
    "5",
    "[('a', '\\u20ac')]",
    "[('caf\\xe9', 'a')]",
]


@pytest.mark.parametrize("headers", HEADERS)
def test_wsgi_headers_that_cannot_be_sent(wsgi, headers):
    mark = wsgi.mark()
    response = wsgi.get("/script", script(f"start_response('200 OK', {headers})", "result = [b'x']"))
    assert wsgi.note("script", mark)[0] != "ok"
    assert response.status == 500
    assert wsgi.get("/").body == b"hello"


RESULTS = ["None", "5", "'str'", "b'bytes'", "['str']", "[b'x', 5]", "iter(['str'])", "[None]", "object()"]


@pytest.mark.parametrize("result", RESULTS)
def test_wsgi_results_that_are_no_iterable_of_bytes(wsgi, result):
    steps = ["start_response('200 OK', [('Content-Type', 'text/plain')])", f"result = {result}"]
    assert wsgi.get("/script", script(*steps)).status == 500
    assert wsgi.get("/").body == b"hello"


def test_wsgi_result_without_start(wsgi):
    assert wsgi.get("/script", script("result = [b'x']")).status == 500
    assert wsgi.get("/").body == b"hello"


def test_wsgi_write_of_str(wsgi):
    mark = wsgi.mark()
    response = wsgi.get("/script", script("w = start_response('200 OK', [])", "w('str')", "result = [b'x']"))
    assert wsgi.note("script", mark)[1].startswith(("TypeError", "AssertionError"))
    assert (response.status, response.body) == (200, b"x")


def test_wsgi_close_is_called_on_an_error(wsgi):
    mark = wsgi.mark()
    start = "start_response('200 OK', [])"
    failing = "def chunks():\n  yield b'part'\n  1/0"
    with wsgi.connect() as wire:
        wire.request("GET", "/script", script(start, failing, "result = Closing('failed', chunks())"))
        wire.rest()
    wsgi.note("failed.closed", mark)
