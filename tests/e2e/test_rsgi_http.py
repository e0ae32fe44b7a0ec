"""RSGI over HTTP/1.1: every method of the protocol object, seen from both sides."""

from __future__ import annotations

import json

import pytest

from .server import Server, script


@pytest.fixture
def probe(server, loop) -> Server:
    return server("rsgi_probe:app", "rsgi", loop=loop)


@pytest.mark.parametrize("target", ["plain_function", "returns_awaitable"])
def test_application_may_be_a_function(server, target):
    assert server(f"rsgi_probe:{target}", "rsgi").get("/").body == b"hello"


def test_hooks_run_on_the_idle_loop(server, loop):
    own = server("rsgi_probe:app", "rsgi", loop=loop, fresh=True)
    assert own.note("init") is False
    assert own.get("/").body == b"hello"
    own.stop()
    assert own.note("del") == [True, False]


def test_headers_object(probe):
    headers = ("X-Two: a", "X-One: 1", "x-two: b")
    found = json.loads(probe.get("/headers", *headers).body)
    assert sorted(found["keys"]) == ["host", "x-one", "x-two"]
    assert sorted(found["iteration"]) == ["host", "x-one", "x-two"]
    assert found["len"] == 3
    assert sorted(found["values"]) == ["1", "a", "b", "localhost"]
    assert [item for item in found["items"] if item[0] == "x-two"] == [["x-two", "a"], ["x-two", "b"]]
    assert len(found["items"]) == 4
    assert found["get"] == ["a", None, "no"]
    assert found["get_all"] == [["a", "b"], []]
    assert found["in"] == [True, False]
    assert found["item"] == ["a", "KeyError('x-absent')"]
    assert found["bytes"] == "TypeError"


def test_latin1_header_values_are_there(probe):
    found = json.loads(probe.get("/headers", "X-Two: caf\xe9").body)
    assert found["get"][0] == "caf\xe9"
    assert found["item"][0] == "caf\xe9"
    assert ["x-two", "caf\xe9"] in found["items"]
    assert "caf\xe9" in found["values"]


METHODS = [
    ("protocol.response_empty()", 200, b""),
    ("protocol.response_empty(201, [('a', '1')])", 201, b""),
    ("protocol.response_empty(status=204, headers=[])", 204, b""),
    ("protocol.response_str()", 200, b""),
    ("protocol.response_str(201, [('a', '1')], 'caf\\u00e9')", 201, "caf\xe9".encode()),
    ("protocol.response_str(body='x', headers=[], status=400)", 400, b"x"),
    ("protocol.response_bytes()", 200, b""),
    ("protocol.response_bytes(201, [('a', '1')], b'x')", 201, b"x"),
    ("protocol.response_bytes(200, (('a', '1'),), bytearray(b'x'))", 200, b"x"),
    ("protocol.response_bytes(200, [], memoryview(b'abcdef')[1:3])", 200, b"bc"),
]


@pytest.mark.parametrize("waited", ["", "await "])
@pytest.mark.parametrize(("call", "status", "body"), METHODS)
def test_single_responses(probe, call, status, body, waited):
    mark = probe.mark()
    response = probe.get("/script", script(waited + call))
    assert probe.note("script", mark) == ["ok"]
    assert (response.status, response.body) == (status, body)
    assert response.header("a") == ("1" if "'a'" in call else None)
    assert response.header("content-length") == (None if status == 204 else str(len(body)))
    assert response.header("server") == "granian"
    assert response.header("date")


def test_response_leaves_before_the_application_returns(probe):
    with probe.connect() as wire:
        steps = ["protocol.response_str(200, [], 'now')", "await gates['early'].wait()"]
        wire.request("GET", "/script", script(*steps))
        assert wire.response().body == b"now"
        probe.get("/open/early")


def test_header_names_go_out_in_lower_case_and_in_order(probe):
    call = "protocol.response_empty(200, [('X-A', '1'), ('Server', 'me'), ('x-a', '2')])"
    response = probe.get("/script", script(call))
    assert [field for field in response.headers if field[0] == "x-a"] == [("x-a", "1"), ("x-a", "2")]
    assert response.header("server") == "me"


@pytest.mark.parametrize(
    "call",
    [
        "protocol.response_str(200, [], b'bytes')",
        "protocol.response_bytes(200, [], 'str')",
        "protocol.response_str('200', [], '')",
        "protocol.response_str(200, {'a': 'b'}, '')",
        "protocol.response_str(200, [(b'a', b'b')], '')",
        "protocol.response_str(200, ['ab'], '')",
        "protocol.response_str(200, [('a', 'b', 'c')], '')",
        "protocol.response_str(200, [('a b', 'c')], '')",
        "protocol.response_str(200, [('', 'c')], '')",
        "protocol.response_str(200, [('a', 'b\\r\\nc: d')], '')",
        "protocol.response_str(200, [('a\\n', 'b')], '')",
        "protocol.response_str(200, [('a', 'b\\0')], '')",
        "protocol.response_empty(99, [])",
        "protocol.response_empty(1000, [])",
        "protocol.response_empty(-1, [])",
        "protocol.response_empty(70000, [])",
        "protocol.response_stream(1000, [])",
        "protocol.response_file(0, [], '/etc/hostname')",
        "protocol.response_file_range(200, [], '/etc/hostname', 5, 5)",
        "protocol.response_file_range(200, [], '/etc/hostname', -1, 5)",
    ],
)
def test_wrong_arguments_raise_and_leave_the_response_open(probe, call):
    mark = probe.mark()
    response = probe.get("/script", script(call, "protocol.response_str(200, [], 'second try')"))
    outcome = probe.note("script", mark)
    assert outcome[0].split(":")[0] in ("TypeError", "ValueError", "OverflowError"), outcome
    assert outcome[1] == "ok"
    assert (response.status, response.body) == (200, b"second try")


@pytest.mark.parametrize("headers", ["{'a': 'b'}", "'ab'", "['ab']", "[b'ab']", "[5]", "5"])
def test_headers_of_a_wrong_type(probe, headers):
    mark = probe.mark()
    probe.get("/script", script(f"protocol.response_str(200, {headers}, '')", "protocol.response_str(200, [], '')"))
    assert probe.note("script", mark)[0].split(":")[0] == "TypeError"


def test_second_response_does_not_count(probe):
    mark = probe.mark()
    steps = ["protocol.response_str(200, [], 'one')", "protocol.response_str(201, [], 'two')"]
    with probe.connect() as wire:
        wire.request("GET", "/script", script(*steps, "protocol.response_stream()"))
        response = wire.response()
        assert (response.status, response.body) == (200, b"one")
        outcomes = probe.note("script", mark)
        assert outcomes[:2] == ["ok", "ok"]
        assert "ProtocolError:" in outcomes[2]
        assert wire.request("GET", "/").response().body == b"hello"


@pytest.mark.parametrize("size", [0, 1, 70_000, 2_000_000])
def test_whole_body(probe, size):
    body = b"x" * size
    assert probe.request("POST", "/echo", body=body).body == body


@pytest.mark.parametrize("size", [0, 1, 70_000, 2_000_000])
def test_iterated_body_ends_with_an_empty_piece(probe, size):
    body = b"x" * size
    found = json.loads(probe.request("POST", "/iterate", body=body).body)
    assert found == {"body": body.decode(), "types": ["bytes"], "last": ""}


@pytest.mark.parametrize("first", ["await protocol()", "[p async for p in protocol]"])
@pytest.mark.parametrize("second", ["protocol()", "protocol.__aiter__()"])
def test_body_can_be_taken_once(probe, first, second):
    mark = probe.mark()
    probe.request("POST", "/script", script(first, second, "protocol.response_empty()"), body=b"abc")
    outcomes = probe.note("script", mark)
    assert outcomes[1].endswith("ProtocolError: RSGI protocol error")
    assert [outcomes[0], outcomes[2]] == ["ok", "ok"]


def test_protocol_errors_are_runtime_errors(probe):
    mark = probe.mark()
    steps = [
        "from granian.rsgi import ProtocolClosed, ProtocolError",
        "assert issubclass(ProtocolError, RuntimeError)",
        "assert issubclass(ProtocolClosed, RuntimeError)",
        "protocol.response_empty()",
    ]
    probe.get("/script", script(*steps))
    assert probe.note("script", mark) == ["ok"] * 4


def test_stream(probe):
    response = probe.get("/stream?n=3&size=10")
    assert response.header("transfer-encoding") == "chunked"
    assert response.body == b"a" * 10 + b"b" * 10 + b"c" * 10


STREAMS = [
    (["t = protocol.response_stream()", "await t.send_str('caf\\u00e9')"], "caf\xe9".encode()),
    (["t = await protocol.response_stream(200, [])", "await t.send_bytes(b'x')"], b"x"),
    (["t = protocol.response_stream(200, [])", "await t.send_bytes(bytearray(b'ab'))"], b"ab"),
    (["t = protocol.response_stream(200, [])", "await t.send_bytes(memoryview(b'abc')[1:])"], b"bc"),
    (["t = protocol.response_stream(200, [])"], b""),
    (["t = protocol.response_stream(200, [('content-length', '2')])", "await t.send_str('ab')"], b"ab"),
]


@pytest.mark.parametrize(("steps", "body"), STREAMS)
def test_streams(probe, steps, body):
    mark = probe.mark()
    response = probe.get("/script", script(*steps))
    assert probe.note("script", mark) == ["ok"] * len(steps)
    assert (response.status, response.body) == (200, body)


@pytest.mark.parametrize("call", ["t.send_bytes('str')", "t.send_str(b'bytes')", "t.send_bytes(None)"])
def test_wrong_stream_data_raises_at_the_call(probe, call):
    mark = probe.mark()
    steps = ["t = protocol.response_stream()", call, "await t.send_str('ok')"]
    response = probe.get("/script", script(*steps))
    outcomes = probe.note("script", mark)
    assert [outcome.split(":")[0] for outcome in outcomes] == ["ok", "TypeError", "ok"]
    assert response.body == b"ok"


def test_empty_stream_data_is_not_framed(probe):
    steps = ["await t.send_str('a')", "await t.send_str('')", "await t.send_bytes(b'')"]
    response = probe.get("/script", script("t = protocol.response_stream()", *steps))
    assert response.chunks == [b"a"]


def test_stream_ends_with_the_application_even_if_kept(probe):
    steps = ["kept.append(protocol.response_stream())", "await kept[-1].send_str('kept')"]
    assert probe.get("/script", script(*steps)).body == b"kept"


def test_stream_head_and_chunks_are_not_held_back(probe):
    with probe.connect() as wire:
        wire.request("GET", "/chunks?gate=rsgi")
        assert wire.head().status == 200
        for index in range(3):
            probe.get(f"/open/rsgi{index}")
            assert wire.chunk() == f"chunk {index}".encode()
        assert wire.chunk() == b""


def test_head_request(probe):
    with probe.connect() as wire:
        assert wire.request("HEAD", "/").response("HEAD").header("content-length") == "5"
        assert wire.request("HEAD", "/stream").response("HEAD").status == 200
        assert wire.request("GET", "/").response().body == b"hello"
