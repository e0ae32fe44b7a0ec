"""`--request-id-header`: the name of a request, in the application, the answer and the access log."""

from __future__ import annotations

import re

import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server, script
from .websocket import UPGRADE

LOG = ("--access-log", "--access-log-fmt", "@id %(request_id)s")
OPTIONS = ("--request-id-header", "X-Request-Id", *LOG)
SEEN = {
    "asgi": [
        "note('id', [v.decode() for k, v in scope['headers'] if k == b'x-request-id'])",
        "note('state', scope['state'].get('request_id'))",
        "await start()",
        "await body(b'hello')",
    ],
    "rsgi": ["note('id', scope.headers.get_all('x-request-id'))", "protocol.response_str(200, [], 'hello')"],
    "wsgi": ["note('id', [environ['HTTP_X_REQUEST_ID']])", "start_response('200 OK', [])", "result = [b'hello']"],
}
TRACE = "0af7651916cd43dd8448eb211c80319c"
MADE = r"[0-9a-f]{32}"
GIVEN = {
    "own": (["X-Request-Id: mine-1"], "mine-1"),
    "none": ([], MADE),
    "bad": (["X-Request-Id: a b"], MADE),
    "long": (["X-Request-Id: " + "a" * 129], MADE),
    "twice": (["X-Request-Id: a", "X-Request-Id: b"], MADE),
    "trace": ([f"traceparent: 00-{TRACE}-b7ad6b7169203331-01"], TRACE),
    "bad trace": (["traceparent: 00-0-1-01"], MADE),
    "both": (["X-Request-Id: mine-1", f"traceparent: 00-{TRACE}-b7ad6b7169203331-01"], "mine-1"),
}


@pytest.mark.parametrize("interface", TARGETS)
@pytest.mark.parametrize("given", GIVEN)
def test_everybody_sees_one_name(server, interface, given):
    probe: Server = server(*TARGETS[interface], *OPTIONS)
    mark = probe.mark()
    headers, expected = GIVEN[given]
    with probe.connect() as wire:
        steps = script(*SEEN[interface.partition("-")[0]])
        answer = wire.request("GET", "/script", *headers, steps).response()
    name = answer.header("x-request-id")
    assert re.fullmatch(expected, name)
    assert probe.note("id", mark) == [name]
    if interface == "asgi":
        assert probe.note("state", mark) == name
    probe.wait_line(rf"^@id {re.escape(name)}$", mark)


# What came in `traceparent`, and what comes of it; and whether `tracestate` stays.
TRACES = {
    "valid": ([f"traceparent: 00-{TRACE}-b7ad6b7169203331-00"], f"00-{TRACE}-b7ad6b7169203331-00", True),
    "later version": ([f"traceparent: 7f-{TRACE}-b7ad6b7169203331-00-x"], f"7f-{TRACE}-b7ad6b7169203331-00-x", True),
    "none": ([], "00-[0-9a-f]{32}-[0-9a-f]{16}-01", False),
    "malformed": ([f"traceparent: 00-{TRACE}-0000000000000000-00"], "00-[0-9a-f]{32}-[0-9a-f]{16}-01", False),
    "twice": (
        [f"traceparent: 00-{TRACE}-b7ad6b7169203331-00"] * 2,
        rf"00-(?!{TRACE})[0-9a-f]{{32}}-[0-9a-f]{{16}}-01",
        False,
    ),
}


@pytest.mark.parametrize("interface", TARGETS)
@pytest.mark.parametrize("given", TRACES)
def test_everybody_sees_one_trace(server, interface, given):
    probe: Server = server(*TARGETS[interface], "--request-id-header", "traceparent", *LOG)
    mark = probe.mark()
    headers, expected, keeps_state = TRACES[given]
    with probe.connect() as wire:
        seen = [line.replace("x-request-id", "traceparent") for line in SEEN[interface.partition("-")[0]]]
        seen = [line.replace("HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT") for line in seen]
        state = {
            "asgi": "note('tracestate', [v.decode() for k, v in scope['headers'] if k == b'tracestate'])",
            "rsgi": "note('tracestate', scope.headers.get_all('tracestate'))",
            "wsgi": "note('tracestate', [v for k, v in environ.items() if k == 'HTTP_TRACESTATE'])",
        }[interface.partition("-")[0]]
        answer = wire.request("GET", "/script", "tracestate: a=b", *headers, script(state, *seen)).response()
    (trace,) = answer.all("traceparent")
    assert re.fullmatch(expected, trace)
    assert probe.note("id", mark) == [trace]
    assert probe.note("tracestate", mark) == (["a=b"] if keeps_state else [])
    name = trace.split("-")[1]
    if interface == "asgi":
        assert probe.note("state", mark) == name
    probe.wait_line(rf"^@id {name}$", mark)


def test_names_differ(server):
    probe: Server = server(*TARGETS["asgi"], *OPTIONS)
    with probe.connect() as wire:
        names = {wire.request("GET", "/").response().header("x-request-id") for _ in range(50)}
    assert len(names) == 50


def test_the_applications_own_header_stays(server):
    probe: Server = server(*TARGETS["asgi"], *OPTIONS)
    steps = script("await start(200, [(b'X-Request-Id', b'own')])", "await body(b'hello')")
    assert probe.get("/script", steps).all("x-request-id") == ["own"]


def test_answers_of_the_server_have_it(server):
    probe: Server = server(*TARGETS["asgi"], *OPTIONS)
    answer = probe.get("/script", "X-Request-Id: mine-1", script("!1/0"))
    assert (answer.status, answer.header("x-request-id")) == (500, "mine-1")


def test_over_http2(server):
    probe: Server = server(*TARGETS["asgi"], *OPTIONS)
    with H2Wire(probe.address) as wire:
        answer = wire.request("GET", "/", ("x-request-id", "mine-1"))
        assert dict(answer.headers)["x-request-id"] == "mine-1"
        assert re.fullmatch(MADE, dict(wire.request("GET", "/").headers)["x-request-id"])


def test_websockets(server):
    probe: Server = server("ws_asgi:app", "asgi", *OPTIONS)
    mark = probe.mark()
    wire = probe.connect()
    steps = script("note('state', scope['state'].get('request_id'))", "await accept()")
    answer = wire.request("GET", "/", *UPGRADE, "X-Request-Id: mine-1", steps).response()
    assert (answer.status, answer.header("x-request-id")) == (101, "mine-1")
    assert probe.note("state", mark) == "mine-1"


def test_off_by_default(server):
    probe: Server = server(*TARGETS["asgi"], *LOG)
    mark = probe.mark()
    steps = script("note('state', 'request_id' in scope['state'])", "await start()", "await body(b'hello')")
    answer = probe.get("/script", "X-Request-Id: mine-1", steps)
    assert answer.all("x-request-id") == []
    assert probe.note("state", mark) is False
    # The log has what the request has brought along.
    probe.wait_line("^@id mine-1$", mark)
    assert probe.get("/").status == 200
    probe.wait_line("^@id -$", mark)


@pytest.mark.parametrize("name", ["a b", "", "Content-Length", "tracestate"])
def test_names_that_cannot_be(launch, name):
    failing = launch(*TARGETS["asgi"], "--request-id-header", name)
    assert failing.wait_exit(15) == 1
    errors = [line for line in failing.lines() if "[ERROR]" in line]
    assert len(errors) == 1
    assert errors[0].startswith("[ERROR] --request-id-header: ")
    assert repr(name) in errors[0]
