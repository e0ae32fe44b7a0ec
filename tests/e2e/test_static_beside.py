"""Static files and the application beside them: whose path it is, what is logged, and headers by option."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server

FORMAT = "@access %(protocol)s %(method)s %(path)s %(status)d %(body_bytes)d"
LOG = ("--access-log", "--access-log-fmt", FORMAT)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("beside") / "site"
    (site / "assets").mkdir(parents=True)
    (site / "api").mkdir()
    (site / "page").mkdir()
    (site / "page" / "index.html").write_text("<p>page</p>")
    (site / "hello.txt").write_text("Hello, file!")
    (site / ".secret").write_text("secret")
    (site / "out").symlink_to("/etc/passwd")
    (site / "assets" / "app.0123abcd.js").write_text("let a = 1;")
    (site / "large.bin").write_bytes(b"x" * 300_000)
    (site / "model.gltf").write_text("{}")
    return site


def lines(app: Server, mark: int, *expected: str) -> None:
    """The lines since `mark` are these."""
    for line in expected:
        app.wait_line(f"^{re.escape(f'@access {line}')}$", mark)
    app.mark()
    assert sorted(line for line in app.lines(mark) if line.startswith("@access")) == sorted(
        f"@access {line}" for line in expected
    )


@pytest.mark.parametrize("interface", TARGETS)
def test_answers_have_a_line(server, site, interface):
    app = server(*TARGETS[interface], *LOG, "--static-path-mount", str(site))
    mark = app.mark()
    first = app.get("/static/hello.txt")
    assert app.get("/static/hello.txt", f"If-None-Match: {first.header('etag')}").status == 304
    assert app.get("/static/hello.txt", "Range: bytes=0-4").body == b"Hello"
    assert app.request("HEAD", "/static/hello.txt").status == 200
    assert app.request("POST", "/static/hello.txt").status == 405
    assert app.get("/static/nothing").status == 404
    assert len(app.get("/static/large.bin").body) == 300_000
    with H2Wire(app.address) as wire:
        assert wire.request("GET", "/static/hello.txt").body == b"Hello, file!"
    lines(
        app,
        mark,
        "HTTP/1.1 GET /static/hello.txt 200 12",
        "HTTP/1.1 GET /static/hello.txt 304 0",
        "HTTP/1.1 GET /static/hello.txt 206 5",
        "HTTP/1.1 HEAD /static/hello.txt 200 0",
        "HTTP/1.1 POST /static/hello.txt 405 0",
        "HTTP/1.1 GET /static/nothing 404 9",
        "HTTP/1.1 GET /static/large.bin 200 300000",
        "HTTP/2 GET /static/hello.txt 200 12",
    )


FALLTHROUGH = ("--static-path-route", "/", "--static-path-fallthrough", "--static-path-dir-to-file", "index.html")


@pytest.fixture(params=TARGETS)
def beside(request, server, site) -> Server:
    return server(*TARGETS[request.param], *LOG, *FALLTHROUGH, "--static-path-mount", str(site))


def test_a_miss_is_the_applications(beside):
    for _ in range(3):  # an unknown name, one that the kernel knows to be none
        assert beside.get("/hello.txt").body == b"Hello, file!"
        assert beside.get("/").body == b"hello"
        assert beside.get("/page/").body == b"<p>page</p>"
    assert beside.get("/page").status == 301
    assert beside.get("/api").body == b"no such path"
    assert beside.get("/hello.txt/x").body == b"no such path"
    assert beside.get("/" + "x" * 300).body == b"no such path"


def test_bodies_and_methods_are_the_applications(beside):
    body = b"x" * 200_000
    assert beside.request("POST", "/echo", body=body).body == body
    assert beside.request("GET", "/echo", body=body).body == body
    assert beside.request("POST", "/hello.txt").body == b"no such path"
    with H2Wire(beside.address) as wire:
        assert wire.request("POST", "/echo", body=body).body == body
        assert wire.request("GET", "/hello.txt").body == b"Hello, file!"
        assert wire.request("GET", "/stream?n=5&size=10000").body[-1:] == b"e"


def test_streams_of_the_application_come_whole(beside):
    with beside.connect() as wire:
        for _ in range(3):
            answer = wire.request("GET", "/stream?n=20&size=10000").response()
            assert len(answer.body) == 200_000
            assert wire.request("GET", "/hello.txt").response().body == b"Hello, file!"


@pytest.mark.parametrize("path", ["/.secret", "/out", "/../etc/passwd", "/%2e%2e/x", "/a%2fb", "/a%00"])
def test_the_application_never_gets_what_is_refused(beside, path):
    mark = beside.mark()
    answer = beside.get(path)
    assert (answer.status, answer.body) == (404, b"Not found")
    beside.wait_line("^@access .* 404 9$", mark)


def test_pages_have_the_fallback_and_the_rest_the_application(server, site):
    options = (*FALLTHROUGH, "--static-path-fallback", "page/index.html", "--static-path-mount", str(site))
    app = server(*TARGETS["asgi"], *options)
    assert app.get("/some/route", "Accept: text/html").body == b"<p>page</p>"
    assert app.get("/some/route", "Accept: application/json").body == b"no such path"


def test_headers_types_and_files_that_never_change(server, site):
    options = (
        *("--static-path-route", "/a", "--static-path-mount", str(site)),
        *("--static-path-route", "/b", "--static-path-mount", str(site)),
        *("--static-path-immutable", r"\.[0-9a-f]{8}\.", "--static-path-type", ".gltf=model/gltf+json"),
        *("--static-path-header", "X-Both: one two", "--static-path-header", "/b Cache-Control: private"),
    )
    app = server(*TARGETS["asgi"], *options)
    hashed = app.get("/a/assets/app.0123abcd.js")
    assert hashed.header("cache-control") == "public, max-age=31536000, immutable"
    assert hashed.header("x-both") == "one two"
    assert app.get("/a/hello.txt").header("cache-control") == "max-age=86400"
    other = app.get("/b/hello.txt")
    assert (other.header("cache-control"), other.header("x-both")) == ("private", "one two")
    tag = other.header("etag")
    known = app.get("/b/hello.txt", f"If-None-Match: {tag}")
    assert (known.status, known.header("cache-control"), known.header("x-both")) == (304, "private", "one two")
    assert app.get("/a/model.gltf").header("content-type") == "model/gltf+json"
    assert app.get("/a/nothing").header("x-both") is None


def test_headers_in_the_environment(server, site):
    env = {"GRANIAN_STATIC_PATH_HEADER": "X-One: a b\nX-Two: c\n", "GRANIAN_STATIC_PATH_MOUNT": str(site)}
    app = server(*TARGETS["asgi"], env=env)
    answer = app.get("/static/hello.txt")
    assert (answer.header("x-one"), answer.header("x-two")) == ("a b", "c")


def test_a_folder_that_vanishes(server, tmp_path):
    """Its files are gone within a second or two; nothing else is held up."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "f.txt").write_text("f")
    app = server(*TARGETS["asgi"], "--static-path-mount", str(folder), fresh=True)
    assert app.get("/static/f.txt").body == b"f"
    shutil.rmtree(folder)
    until = time.monotonic() + 10
    while app.get("/static/f.txt").status != 404:
        assert time.monotonic() < until
        assert app.get("/").body == b"hello"
    assert app.get("/static/other.txt").status == 404
