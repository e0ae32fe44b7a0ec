"""What tutorials and guides show, run as it stands there: command lines, applications, `examples/`.

Their programs are in `tests/lifecycle/test_programs.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import APPS, Server
from .websocket import UPGRADE, open_websocket

EXAMPLES = Path(__file__).parents[2] / "examples"
ASGI, WSGI, RSGI = "tutorial:app", "tutorial:wsgi", "tutorial:rsgi"
# The options of the command lines, one server each.
LINES = {
    "guide": (ASGI, "asgi", "--workers 2 --threads 2 --opt --backlog 2048 --backpressure 512 --log-level info"),
    "wsgi": (WSGI, "wsgi", "--threads 4 --opt --workers 1 --blocking-threads 4 --blocking-threads-idle-timeout 1m"),
    "rsgi": (
        RSGI,
        "rsgi",
        "--opt --runtime-mode mt --runtime-threads 2 --runtime-blocking-threads 2 --task-impl asyncio --http 1",
    ),
    "factory": (
        "tutorial:create_app",
        "asginl",
        "--factory --http1-buffer-size 65536 --http1-header-read-timeout 5000 --http1-keep-alive --no-ws",
    ),
    "limits": (
        ASGI,
        "asgi",
        "--workers-lifetime 1h30m --workers-max-rss 512 --respawn-failed-workers --respawn-interval 2 "
        "--rss-sample-interval 10 --rss-samples 2 --workers-kill-timeout 30s",
    ),
    "static": (ASGI, "asgi", "--static-path-mount . --static-path-route /assets --static-path-expires 60"),
    "logs": (ASGI, "asgi", "--access-log --access-log-fmt %(addr)s|%(method)s|%(path)s|%(status)d --log-level debug"),
    "http2": (
        ASGI,
        "asgi",
        "--http 2 --http2-max-concurrent-streams 100 --http2-keep-alive-interval 10000 --http2-keep-alive-timeout 20",
    ),
}


@pytest.fixture
def line(server: ServerFactory) -> Callable[[str], Server]:
    """A running server by the name of its command line."""

    def start(name: str) -> Server:
        target, interface, options = LINES[name]
        return server(target, interface, *options.split())

    return start


@pytest.mark.parametrize("name", ["guide", "factory", "limits", "static", "logs"])
def test_command_lines(line, name):
    response = line(name).get("/path")
    assert (response.status, response.body) == (200, b"http 127.0.0.1 /path")


def test_options_without_effect_are_told_once(line):
    lines = [text for text in line("rsgi").lines() if "without effect" in text]
    assert [text.split()[1] for text in lines] == ["--runtime-blocking-threads"]


def test_static_files_and_the_access_log(line):
    running = line("static")
    response = running.get("/assets/tutorial.py")
    assert (response.status, response.body) == (200, (APPS / "tutorial.py").read_bytes())
    assert response.header("cache-control") == "max-age=60"
    running = line("logs")
    mark = running.mark()
    running.get("/logged")
    running.wait_line(r"127\.0\.0\.1\|GET\|/logged\|200$", mark)


def test_http2(line):
    with H2Wire(line("http2").address) as wire:
        assert wire.request("GET", "/two").body == b"http 127.0.0.1 /two"


def test_wsgi(line):
    running = line("wsgi")
    assert running.get("/").body == b"http 127.0.0.1 /"
    response = running.get("/stream")
    assert response.body == b"line 0\nline 1\nline 2\n"
    assert response.chunks is not None


def test_rsgi(line):
    running = line("rsgi")
    assert running.get("/text").body == b"text"
    assert running.request("POST", "/bytes", body=b"sent").body == b"sent"
    assert running.get("/file").body == (APPS / "tutorial.py").read_bytes()
    assert running.get("/stream").body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    response = running.get("/nothing")
    assert (response.status, response.body) == (404, b"")
    assert "Traceback" not in running.log()


@pytest.mark.parametrize("name", ["guide", "rsgi"])
def test_websockets(line, name):
    with open_websocket(line(name), "/ws") as websocket:
        websocket.send("hello")
        assert websocket.message() == "Echo: hello"


def test_websocket_refused_with_a_code_that_is_no_status(line):
    running = line("rsgi")
    assert running.get("/refused", *UPGRADE).status == 403
    assert running.get("/text").status == 200


@pytest.mark.parametrize(("target", "interface"), [("behind_proxy", "asginl"), ("wsgi_behind_proxy", "wsgi")])
def test_proxy_wrappers(server, target, interface):
    running = server(f"tutorial:{target}", interface)
    headers = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")
    assert running.get("/", *headers).body == b"https 203.0.113.9 /"
    assert running.get("/").body == b"http 127.0.0.1 /"


def test_litestar_under_rsgi(server):
    """It speaks ASGI, and is served as under `--interface asgi`."""
    pytest.importorskip("litestar")
    running = server("litestar_app:app", "rsgi")
    running.wait_line(r"\[INFO\] litestar_app:app speaks ASGI and not RSGI: it is served by that interface")
    assert json.loads(running.get("/json/7").body) == {"n": 7, "q": None}
    assert running.note("startup") is None


@pytest.mark.parametrize(("name", "greeting"), [("asgi", b"It works"), ("rsgi", b"Hello"), ("wsgi", b"Hello")])
def test_examples(server, name, greeting):
    running = server(f"{name}:app", None, cwd=EXAMPLES)
    assert greeting in running.get("/").body
    assert running.request("POST", "/echo", body=b"sent").body == b"sent"
    assert running.get("/nothing").status == 404
    if name == "rsgi":
        assert running.get("/source").body == (EXAMPLES / "rsgi.py").read_bytes()
    with running.connect() as wire:
        assert wire.request("GET", "/stream").head().status == 200
        assert wire.chunk() == b"line 0\n"


LOGGING = {
    "version": 1,
    "formatters": {"theirs": {"format": "theirs: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "theirs", "stream": "ext://sys.stdout"}},
    "loggers": {"_granian": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}


def test_logging_by_a_file(server, tmp_path):
    (tmp_path / "log.json").write_text(json.dumps(LOGGING))
    running = server(ASGI, "asgi", "--log-config", str(tmp_path / "log.json"), fresh=True)
    running.wait_line("^theirs: Listening at")
