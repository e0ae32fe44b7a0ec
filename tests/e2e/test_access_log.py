"""The access log: one line for each answer, whoever gave it."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from .h2wire import Answer, H2Wire
from .server import TARGETS, Server, script
from .tls import Files, TlsWire, context
from .websocket import UPGRADE, open_websocket
from .wire import Wire

FORMAT = "@access %(addr)s %(scheme)s %(protocol)s %(method)s %(path)s %(query_string)s %(status)d %(body_bytes)d"
LOG = ("--access-log", "--access-log-fmt", FORMAT)


def check(probe: Server, mark: int, *expected: str) -> None:
    """The lines since `mark` are these, in any order; the last answer's line has come."""
    for line in expected:
        probe.wait_line(f"^{re.escape(f'@access 127.0.0.1 {line}')}$", mark)
    probe.mark()  # all that was written has been read
    lines = [line for line in probe.lines(mark) if line.startswith("@access")]
    assert sorted(lines) == sorted(f"@access 127.0.0.1 {line}" for line in expected)


@pytest.mark.parametrize("interface", TARGETS)
def test_answers_of_the_application(server, interface):
    probe: Server = server(*TARGETS[interface], *LOG)
    mark = probe.mark()
    assert probe.get("/?a=b").body == b"hello"
    assert probe.get("/none").status == 404
    assert probe.connect().request("HEAD", "/").response("HEAD").status == 200
    with H2Wire(probe.address) as wire:
        assert wire.request("GET", "/?c").body == b"hello"
    check(
        probe,
        mark,
        "http HTTP/1.1 GET / a=b 200 5",
        "http HTTP/1.1 GET /none  404 12",
        "http HTTP/1.1 HEAD /  200 0",
        "http HTTP/2 GET / c 200 5",
    )


# What the server answers by itself before it has read a whole head.
REFUSED = {
    "line": (b"nonsense\r\n\r\n", 400),
    "field": (b"GET / HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n", 400),
    "host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "expectation": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 500_000, 431),
    "method": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
    "version": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "timeout": (b"GET / HTTP/1.1\r\nHost", 408),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_of_heads(server, name):
    data, status = REFUSED[name]
    probe: Server = server(*TARGETS["asgi"], *LOG, "--http1-header-read-timeout", "400")
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(data).response().status == status
    check(probe, mark, f"http HTTP/1.1 - -  {status} 0")


HANDSHAKE = (
    b"GET /ws?q HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BROKEN = b"POST /echo?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX"


def test_refusals_of_requests_say_what_was_asked(server):
    probe: Server = server(*TARGETS["asgi"], *LOG)
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(HANDSHAKE).response().status == 426
    check(probe, mark, "http HTTP/1.1 GET /ws q 426 0")
    other: Server = server(*TARGETS["asgi"], *LOG, "--http", "2")
    mark = other.mark()
    with other.connect() as wire:
        assert wire.request("GET", "/x").response().status == 505
    check(other, mark, "http HTTP/1.1 GET /x  505 0")


@pytest.mark.parametrize("interface", TARGETS)
def test_broken_bodies_say_what_was_asked(server, interface):
    """Whether the application was called (ASGI, RSGI, threads) or waits for the whole body (inline)."""
    probe: Server = server(*TARGETS[interface], *LOG)
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(BROKEN).response().status == 400
    check(probe, mark, "http HTTP/1.1 POST /echo q 400 0")


def test_refusals_over_http2(server):
    probe: Server = server(*TARGETS["asgi"], *LOG)
    mark = probe.mark()
    with H2Wire(probe.address, validate=False) as wire:
        number = wire.h2.get_next_available_stream_id()
        wire.h2.send_headers(number, [(":method", "CONNECT"), (":authority", "a.test:80")])
        wire.answers[number] = Answer()
        wire.flush()
        assert wire.answer(number).status == 501
        bad = [(":protocol", "websocket"), ("sec-websocket-version", "12")]
        number = wire.start("CONNECT", "/ws?q", *bad, end=False)
        assert wire.answer(number).status == 400
    check(probe, mark, "http HTTP/2 CONNECT a.test:80  501 0", "http HTTP/2 GET /ws q 400 0")


def test_redirects(server, tmp_path):
    files = Files.make(tmp_path)
    probe: Server = server("tls_apps:asgi", "asgi", *files.options, *LOG, "--ssl-redirect-port", "0")
    port = int(probe.wait_line(r"Redirecting to https at: http://127\.0\.0\.1:(\d+)$")[1])
    mark = probe.mark()
    with Wire(("127.0.0.1", port)) as wire:
        assert wire.request("GET", "/x?y").response().status == 308
        assert wire.request("OPTIONS", "*").response().status == 400
        assert wire.send(b"nonsense\r\n\r\n").response().status == 400
    check(
        probe,
        mark,
        "http HTTP/1.1 GET /x y 308 0",
        "http HTTP/1.1 OPTIONS *  400 0",
        "http HTTP/1.1 - -  400 0",
    )


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_bytes_to_a_client_that_is_gone_do_not_count(server, interface):
    probe: Server = server(*TARGETS[interface], *LOG)
    mark = probe.mark()
    send, gone = {
        "asgi": ("await body(b'x' * 100, {})", "while (await receive())['type'] != 'http.disconnect': pass"),
        "rsgi": ("t.send_bytes(b'x' * 100)", "await protocol.client_disconnect()"),
    }[interface]
    first = {"asgi": "await start()", "rsgi": "t = protocol.response_stream()"}[interface]
    wire = probe.connect()
    wire.request("GET", "/script", script(first, send.format(True), gone, send.format(False)))
    assert wire.head().status == 200
    assert wire.chunk() == b"x" * 100
    wire.reset()
    check(probe, mark, "http HTTP/1.1 GET /script  200 100")


def test_connection_without_a_request_has_no_line(server):
    probe: Server = server(*TARGETS["asgi"], *LOG)
    mark = probe.mark()
    with probe.connect() as wire:
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.rest() == b""
    assert probe.get("/").body == b"hello"
    check(probe, mark, "http HTTP/1.1 GET /  200 5")


MORE = "@more %(status)d|%(request_bytes)d|%(body_bytes)d|%(wait_ms)d|%(ttfb_ms).3f|%(dt_ms).3f|%(tls)s|%(connection)s"
MORE += "|%(worker)d|%(pid)d|%(response_header{X-Probe})s|%(reason)s|%(close_code)s|%(request_id)s"


def facts(probe: Server, mark: int, count: int = 1) -> list[list[str]]:
    """The values of the lines since `mark`, once there are as many."""
    deadline = time.monotonic() + 10
    while True:
        lines = [line for line in probe.lines(mark) if line.startswith("@more ")]
        if len(lines) >= count:
            return [line.removeprefix("@more ").split("|") for line in lines]
        assert time.monotonic() < deadline, probe.log(mark)
        time.sleep(0.005)


ANSWER = {
    "asgi": ["await receive()", "await start(200, [(b'x-probe', b'yes')])", "await body(b'hello')"],
    "rsgi": ["await protocol()", "protocol.response_bytes(200, [('x-probe', 'yes')], b'hello')"],
    "wsgi": ["environ['wsgi.input'].read()", "start_response('200 OK', [('x-probe', 'yes')])", "result = [b'hello']"],
}


@pytest.mark.parametrize("interface", TARGETS)
def test_all_atoms(server, interface):
    probe: Server = server(*TARGETS[interface], "--access-log", "--access-log-fmt", MORE)
    mark = probe.mark()
    steps = script(*ANSWER[interface.partition("-")[0]])
    with probe.connect() as wire:
        given = ("X-Request-Id: mine-1", steps)
        assert wire.request("POST", "/script", *given, body=b"1234567").response().body == b"hello"
        assert wire.request("POST", "/script", steps).response().body == b"hello"
    first, second = facts(probe, mark, 2)
    status, received, sent, waited, first_byte, duration, tls, connection, worker, pid, *rest = first
    assert (status, received, sent, tls, worker, pid) == ("200", "7", "5", "-", "1", str(probe.worker))
    assert float(first_byte) > 0
    assert float(duration) > 0
    assert int(waited) < 5000
    assert rest == ["yes", "-", "-", "mine-1"]
    assert second[1] == "0"
    assert second[-1] == "-"
    assert second[7] == connection
    assert re.fullmatch(rf"{pid}-\d+", connection)


@pytest.mark.parametrize("interface", TARGETS)
def test_reasons_of_the_servers_own_answers(server, interface):
    probe: Server = server(*TARGETS[interface], "--access-log", "--access-log-fmt", MORE)
    mark = probe.mark()
    assert probe.get("/script", script("!1/0")).status == 500
    with probe.connect() as wire:
        assert wire.send(b"nonsense\r\n\r\n").response().status == 400
    with probe.connect() as wire:
        assert wire.send(BROKEN).response().status == 400
    told = {(line[0], line[-3]) for line in facts(probe, mark, 3)}
    assert told == {
        ("500", "application raised an exception"),
        ("400", "malformed request line"),
        ("400", "malformed chunk"),
    }


def test_a_client_that_leaves_is_a_reason(server):
    probe: Server = server(*TARGETS["asgi"], "--access-log", "--access-log-fmt", MORE)
    mark = probe.mark()
    wire = probe.connect()
    gone = "while (await receive())['type'] != 'http.disconnect': pass"
    wire.request("GET", "/script", script("await start()", "await body(b'x', True)", gone))
    assert wire.head().status == 200
    wire.reset()
    assert facts(probe, mark)[0][-3] == "client disconnected"


def test_websockets_have_their_status_and_their_end(server):
    probe: Server = server("ws_asgi:app", "asgi", "--access-log", "--access-log-fmt", MORE)
    mark = probe.mark()
    with open_websocket(probe) as websocket:
        websocket.send("hello")
        assert websocket.message() == "hello"
        assert probe.lines(mark) == []
        websocket.close(4001, "bye")
    line = facts(probe, mark)[0]
    assert line[:3] == ["101", "5", "5"]
    assert (line[-3], line[-2]) == ("-", "4001")
    mark = probe.mark()
    wire = probe.connect()
    wire.request("GET", "/", *UPGRADE, script("await receive()", "await close()"))
    assert wire.response().status == 403
    assert facts(probe, mark)[0][0] == "403"


def test_tls_has_its_version(server, tmp_path):
    files = Files.make(tmp_path)
    options = ("--access-log", "--access-log-fmt", MORE)
    probe: Server = server("tls_apps:asgi", "asgi", *files.options, *options)
    mark = probe.mark()
    with TlsWire(probe, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200
    assert facts(probe, mark)[0][6] == "TLSv1.3"


@pytest.mark.parametrize("interface", TARGETS)
def test_json_whatever_the_request_holds(server, interface):
    probe: Server = server(*TARGETS[interface], "--access-log", "--log-format", "json")
    mark = probe.mark()
    assert probe.get("/%22%5c%0a%00%ff%e2%80%a8%F0%9F%98%80?q=1", 'User-Agent: "\\\x85').status == 404
    with probe.connect() as wire:
        assert wire.send(b"nonsense\r\n\r\n").response().status == 400
    probe.wait_line('"status":400', mark)
    probe.wait_line('"status":404', mark)
    lines = [json.loads(line) for line in probe.lines(mark)]
    asked = next(line for line in lines if line["status"] == 404)
    assert asked["path"] == '/"\\\n\x00\ufffd\u2028\U0001f600'
    assert (asked["method"], asked["logger"], asked["level"]) == ("GET", "granian.access", "info")
    assert (asked["process"], asked["worker"]) == (probe.worker, 1)
    assert asked["tls"] is None
    assert "query_string" not in asked
    refused = next(line for line in lines if line["status"] == 400)
    assert (refused["method"], refused["reason"]) == (None, "malformed request line")
    started = [json.loads(line) for line in probe.lines() if line.startswith("{")]
    assert any(line["message"].startswith("Listening at: http://") for line in started if "message" in line)


def test_json_has_the_atoms_that_are_asked_for(server):
    fmt = "%(status)d %(header{User-Agent})s %(header{X-None})s %(response_header{X-Probe})s %(query_string)s"
    probe: Server = server(*TARGETS["asgi"], "--access-log", "--log-format", "json", "--access-log-fmt", fmt)
    mark = probe.mark()
    assert probe.get("/?a=%22", 'User-Agent: a"b').status == 200
    line = json.loads(probe.wait_line('"status":200', mark).string)
    assert set(line) == {
        *("time", "level", "logger", "process", "worker"),
        *("status", "query_string", "request_headers", "response_headers"),
    }
    assert line["request_headers"] == {"user-agent": 'a"b', "x-none": None}
    assert line["response_headers"] == {"x-probe": None}
    assert line["query_string"] == "a=%22"


def test_file_that_is_opened_anew(server, tmp_path):
    path = tmp_path / "access.log"
    probe: Server = server(*TARGETS["asgi"], *LOG, "--access-log-file", str(path), "--workers", "2", fresh=True)
    probe.wait_line("Started worker-2")

    def wait_lines(file: Path, count: int) -> list[str]:
        deadline = time.monotonic() + 10
        while not file.exists() or len(lines := file.read_text().splitlines()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return lines

    for _ in range(10):
        assert probe.get("/").status == 200
    assert len(wait_lines(path, 10)) == 10
    path.rename(tmp_path / "access.log.1")
    probe.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 10
    count = 0
    while not path.exists() or len(path.read_text().splitlines()) < 10:
        assert time.monotonic() < deadline
        assert probe.get("/").status == 200
        count += 1
    old = (tmp_path / "access.log.1").read_text().splitlines()
    probe.stop()
    assert len(old) + len(path.read_text().splitlines()) == 10 + count
    assert "@access" not in probe.log()


def test_excluded_paths_have_no_lines(server):
    options = ("--access-log-exclude", "/healthz", "--access-log-exclude", "/static/")
    probe: Server = server(*TARGETS["asgi"], *LOG, *options)
    mark = probe.mark()
    for target in ("/healthz", "/healthz?q", "/%68ealthz", "/static/a", "/healthz/a", "/static"):
        assert probe.get(target).status == 404
    check(probe, mark, "http HTTP/1.1 GET /healthz/a  404 12", "http HTTP/1.1 GET /static  404 12")


def test_samples_have_all_errors(server):
    probe: Server = server(*TARGETS["asgi"], *LOG, "--access-log-sample", "0")
    mark = probe.mark()
    assert probe.get("/").status == 200
    assert probe.get("/script", script("!1/0")).status == 500
    check(probe, mark, "http HTTP/1.1 GET /script  500 21")
    probe = server(*TARGETS["asgi"], *LOG, "--access-log-sample", "0.5")
    mark = probe.mark()
    with probe.connect() as wire:
        for _ in range(200):
            assert wire.request("GET", "/").response().status == 200
    assert probe.get("/script", script("!1/0")).status == 500
    probe.wait_line("/script", mark)
    count = sum(line.startswith("@access") for line in probe.lines(mark))
    assert 50 < count < 150


def test_handlers_of_a_programs_own(server, tmp_path):
    """They get every line, with the atoms as the record's arguments, on a thread that is not the loop's."""
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "formatter": "own"}
    formatter = {"format": "%(threadName)s %(message)s"}
    config = {"handlers": {"access": handler}, "formatters": {"own": formatter}}
    (tmp_path / "log.json").write_text(json.dumps(config))
    options = ("--access-log", "--access-log-fmt", MORE, "--log-config", str(tmp_path / "log.json"))
    probe: Server = server(*TARGETS["asgi"], *options, fresh=True)
    for _ in range(100):
        assert probe.get("/script", script(*ANSWER["asgi"])).status == 200
    probe.stop()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 100
    assert all(re.match(r"granian-access-log @more 200\|0\|5\|", line) for line in lines)
    assert all(line.endswith("|yes|-|-|-") for line in lines)


def test_formats_that_python_alone_understands(server):
    probe: Server = server(*TARGETS["asgi"], "--access-log", "--access-log-fmt", "@access %(path)r %(status)x")
    mark = probe.mark()
    assert probe.get("/a").status == 404
    probe.wait_line("^@access '/a' 194$", mark)
