"""The logs of the server: its own life, the application's errors, the access log."""

from __future__ import annotations

import re
import time

import pytest

from .server import TARGETS, Server, script
from .wire import Wire


@pytest.fixture(params=TARGETS)
def target(request) -> tuple[str, ...]:
    return TARGETS[request.param]


def test_life_of_the_server(server):
    own = server(*TARGETS["asgi"], fresh=True)
    assert own.get("/").body == b"hello"
    own.stop()
    expected = [
        rf"\[INFO\] Starting granian \(main PID: {own.process.pid}\)",
        r"\[INFO\] granian \d\S+ on CPython \S+: interface asginl, loop asyncio, 1 worker process",
        r"\[INFO\] Limits: 1024 requests at once in a worker, 1024 waiting connections, .*",
        rf"\[INFO\] Listening at: {own.url}",
        r"\[INFO\] Spawning worker-1 with PID: \d+",
        r"\[INFO\] Started worker-1",
        r"\[INFO\] Shutting down granian",
        r"\[INFO\] Stopping worker-1",
        r"\[INFO\] Stopped worker-1",
        r"\[INFO\] Granian shutdown completed, see ya!",
    ]
    lines = [line for line in own.lines() if line and "runtime-1" not in line]
    assert len(lines) == len(expected), lines
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), line


def test_ends_of_connections_are_named_to_those_who_look_closely(server):
    for level, is_named in (("debug", True), ("info", False)):
        own = server(*TARGETS["asgi"], "--log-level", level)
        for method, target, cause in (("GET", "/", "answered"), ("A B", "/", r"refused \(malformed request target\)")):
            mark = own.mark()
            with own.connect() as wire:
                wire.request(method, target, "connection: close").response()
                port = wire.socket.getsockname()[1]
            line = rf"\[DEBUG\] Connection from 127\.0\.0\.1:{port} closed: {cause}"
            if is_named:
                own.wait_line(line, mark)
            assert bool(re.search(line, own.log())) == is_named


def test_unix_socket_in_the_log(server):
    own = server(*TARGETS["asgi"], uds=True)
    assert own.wait_line("Listening at: (.*)")[1] == f"http://unix:{own.address}"


def test_level_silences_the_rest(launch, tmp_path):
    """Only an error is said, and the access log has a mind of its own."""
    path = tmp_path / "socket"
    options = ("--log-level", "error", "--access-log", "--access-log-fmt", "@access %(path)s")
    quiet = launch(*TARGETS["asgi"], *options, "--uds", str(path))
    wire = connect_when_there(str(path))
    with wire:
        assert wire.request("GET", "/").response().body == b"hello"
        assert wire.request("GET", "/script", script("!1/0")).response().status == 500
    quiet.terminate()
    assert quiet.wait_exit() == 0
    assert "[INFO]" not in quiet.log()
    assert "[ERROR] Application callable raised an exception" in quiet.log()
    assert "@access /" in quiet.lines()


def connect_when_there(path: str) -> Wire:
    deadline = time.monotonic() + 10
    while True:
        try:
            return Wire(path)
        except OSError:
            assert time.monotonic() < deadline


def test_no_access_log_by_default(server, target):
    probe = server(*target)
    mark = probe.mark()
    assert probe.get("/").status == 200
    assert probe.get("/nowhere").status == 404
    assert probe.get("/", "Connection: close").status == 200
    assert probe.lines(mark) == []


DEFAULT = r'\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] %s - "%s" (\d{3}) \d+\.\d{3}'


def test_default_access_log(server, target):
    probe: Server = server(*target, "--access-log")
    mark = probe.mark()
    assert probe.get("/?a=b").status == 200
    assert probe.wait_line("^" + DEFAULT % (r"127\.0\.0\.1", "GET / HTTP/1.1") + "$", mark)[1] == "200"
    assert probe.get("/nowhere").status == 404
    assert probe.wait_line(DEFAULT % (r"127\.0\.0\.1", "GET /nowhere HTTP/1.1"), mark)[1] == "404"
    assert probe.get("/script", script("!1/0")).status == 500
    assert probe.wait_line(DEFAULT % (r"127\.0\.0\.1", "GET /script HTTP/1.1"), mark)[1] == "500"
    with probe.connect() as wire:
        assert wire.send(b"POST / HTTP/1.0\r\n\r\n").response().status == 200
    probe.wait_line(DEFAULT % (r"127\.0\.0\.1", r"POST / HTTP/1(\.0)?"), mark)


FORMAT = "@%(scheme)s|%(method)s|%(path)s|%(query_string)s|%(protocol)s|%(status)d"
FORMAT += "|%(header{User-Agent})s|%(header{x-b})s"


HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"


def test_broken_body_has_one_line_with_the_status_that_was_sent(server, target):
    probe: Server = server(*target, "--access-log")
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.send(HEAD).head().status == 100  # somebody reads
        assert wire.send(b"5\r\nhelloX\r\n").response().status == 400
    probe.wait_line('" 400 ', mark)
    assert probe.get("/").status == 200
    probe.wait_line("GET / HTTP/1.1", mark)
    lines = [line for line in probe.lines(mark) if re.search(r'" \d{3} \d', line) and "GET / " not in line]
    assert [line.split('"')[2].split()[0] for line in lines] == ["400"]


def test_own_access_log_format(server, target):
    probe: Server = server(*target, "--access-log", "--access-log-fmt", FORMAT)
    mark = probe.mark()
    assert probe.get("/?a=%20&b", "user-agent: curl/8", "X-B: 1").status == 200
    assert probe.wait_line("^@http.*", mark)[0] == "@http|GET|/|a=%20&b|HTTP/1.1|200|curl/8|1"
    mark = probe.mark()
    assert probe.get("/caf%C3%A9").status == 404
    line = probe.wait_line("^@http.*", mark)[0]
    assert line.startswith("@http|GET|/caf")
    assert line.endswith("||HTTP/1.1|404|-|-")


def test_access_log_on_a_unix_socket(server, target):
    probe: Server = server(*target, "--access-log", uds=True)
    mark = probe.mark()
    assert probe.get("/").status == 200
    probe.wait_line('"GET / HTTP/1.1" 200 ', mark)


FORGED = ["/a%0aINJECTED", "/a%0d%0aINJECTED", "/a%1b[2JINJECTED", "/a%c2%85INJECTED", "/a%7fINJECTED"]


@pytest.mark.parametrize("path", FORGED)
def test_path_cannot_forge_a_line(server, target, path):
    probe: Server = server(*target, "--access-log")
    mark = probe.mark()
    assert probe.get(path).status == 404
    line = probe.wait_line("INJECTED", mark)
    assert re.fullmatch(r'\[.*\] 127\.0\.0\.1 - "GET /a.*INJECTED HTTP/1.1" 404 [\d.]+', line.string)
    assert line.string.isprintable()
    assert len([line for line in probe.lines(mark) if line]) == 1


def test_header_cannot_forge_a_line(server, target):
    probe: Server = server(*target, "--access-log", "--access-log-fmt", FORMAT)
    mark = probe.mark()
    assert probe.get("/", "User-Agent: a\x85b").status == 200
    line = probe.wait_line("^@http.*", mark)
    assert line.string.isprintable()


def test_unknown_atom_is_refused_at_the_start(launch):
    failing = launch(*TARGETS["asgi"], "--access-log", "--access-log-fmt", "%(nonsense)s")
    assert failing.wait_exit(15) in (1, 2)
    assert "nonsense" in failing.log()
    assert "Traceback" not in failing.log()


def test_file_that_is_not_there_is_logged_as_such(server):
    asgi = server(*TARGETS["asgi"], "--access-log")
    mark = asgi.mark()
    assert asgi.get("/file?path=/nowhere").status == 404
    asgi.wait_line('"GET /file HTTP/1.1" 404 ', mark)
    rsgi = server(*TARGETS["rsgi"], "--access-log")
    mark = rsgi.mark()
    assert rsgi.get("/script", script("protocol.response_file(200, [], '/nowhere')")).status == 404
    rsgi.wait_line('"GET /script HTTP/1.1" 404 ', mark)


def test_no_bytes_are_counted_where_no_body_goes(server):
    probe = server("asgi_probe:app", "asginl", "--access-log", "--access-log-fmt", "%(method)s %(body_bytes)d")
    mark = probe.mark()
    assert probe.connect().request("HEAD", "/").response("HEAD").status == 200
    probe.wait_line("^HEAD 0$", mark)
    assert probe.get("/").body == b"hello"
    probe.wait_line("^GET 5$", mark)


ANSWERS = {
    "asgi": ["await start({})", "await body(b'hello')"],
    "rsgi": ["protocol.response_str({}, [], 'hello')"],
    "wsgi": ["start_response('{} Oh', [])", "result = [b'hello']"],
}


@pytest.mark.parametrize("code", [204, 205, 304])
def test_no_bytes_are_counted_with_a_status_without_body(server, target, code):
    probe = server(*target, "--access-log", "--access-log-fmt", "%(status)d %(body_bytes)d")
    mark = probe.mark()
    steps = [step.format(code) for step in ANSWERS[target[0].partition("_")[0]]]
    assert probe.get("/script", script(*steps)).status == code
    probe.wait_line(f"^{code} 0$", mark)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_whose_encoding_does_not_have_a_character(server, target, encoding):
    """The line was lost, with a traceback in its place; `/a%22%20500%20x` forged a status."""
    probe: Server = server(*target, "--access-log", env={"PYTHONIOENCODING": encoding})
    mark = probe.mark()
    assert probe.get("/%E6%97%A5%22%20500%20x%5C").status == 404
    line = probe.wait_line(".* 404 .*", mark)[0]
    assert re.search(r'"GET /(\\u65e5|\\x97).*\\" 500 x\\\\ HTTP/1.1" 404 ', line), line
    assert "Traceback" not in probe.log(mark)
