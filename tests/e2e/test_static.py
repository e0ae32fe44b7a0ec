"""Static files over real sockets: what is served, in which parts, to whom, and what is refused."""

from __future__ import annotations

import gzip
import os
import time
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import pytest

from .server import Server

OPTIONS = ("--static-path-dir-to-file", "index.html", "--static-path-precompressed")
LARGE = bytes(range(256)) * 4096
TARGETS = {"asginl": "fairness:app", "wsgi": "wsgi_threads:app", "rsgi": "ws_rsgi:app"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("files")
    site = root / "site"
    (site / "sub").mkdir(parents=True)
    (root / "secret.txt").write_text("secret")
    (site / "hello.txt").write_text("Hello, file!")
    (site / "empty.txt").write_bytes(b"")
    (site / "large.bin").write_bytes(LARGE)
    (site / "app.js").write_text("let a = 1;")
    (site / "app.js.gz").write_bytes(gzip.compress(b"let a = 1;"))
    (site / "sub" / "index.html").write_text("<p>sub</p>")
    (site / "index.html").write_text("<p>root</p>")
    (site / "naïve name.txt").write_text("named")
    (site / ".env").write_text("secret")
    (site / "plain").write_text("no ending")
    (site / "out").symlink_to(root / "secret.txt")
    (site / "outdir").symlink_to(root)
    (site / "in").symlink_to("hello.txt")
    os.mkfifo(site / "pipe")
    return site


@pytest.fixture
def files(server, folder) -> Server:
    return server("fairness:app", "asginl", "--static-path-mount", str(folder), *OPTIONS)


def ask(app: Server, path: str, *fields: str, method: str = "GET"):
    with app.connect() as wire:
        return wire.request(method, path, *fields).response(method)


@pytest.mark.parametrize("interface", TARGETS)
def test_a_file(server, folder, interface):
    app = server(TARGETS[interface], interface, "--static-path-mount", str(folder))
    answer = ask(app, "/static/hello.txt")
    assert (answer.status, answer.body) == (200, b"Hello, file!")
    assert answer.header("content-length") == "12"
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.header("cache-control") == "max-age=86400"
    assert answer.header("accept-ranges") == "bytes"
    modified = (folder / "hello.txt").stat().st_mtime
    assert parsedate_to_datetime(answer.header("last-modified")).timestamp() == int(modified)
    assert answer.header("etag").startswith('"')


def test_a_client_that_has_ended_its_side_gets_its_file(files, folder):
    (folder / "cold.txt").write_text("cold")  # looked for by a thread, behind the client's end
    with files.connect() as wire:
        wire.request("GET", "/static/cold.txt").half_close()
        answer = wire.response()
    assert (answer.status, answer.body) == (200, b"cold")


def test_the_application_answers_beside(files):
    assert ask(files, "/").body == b"none"
    assert ask(files, "/staticfoo").body == b"none"


@pytest.mark.parametrize("path", ["/static/hello.txt", "/%73tatic/hello.txt", "/static//hello.txt", "/static/in"])
def test_ways_to_a_file(files, path):
    assert ask(files, path).body == b"Hello, file!"


def test_names_and_types(files):
    assert ask(files, "/static/na%C3%AFve%20name.txt").body == b"named"
    assert ask(files, "/static/plain").header("content-type") is None
    assert ask(files, "/static/large.bin").header("content-type") == "application/octet-stream"
    assert ask(files, "/static/empty.txt").body == b""
    assert ask(files, "/static/sub/").header("content-type") == "text/html; charset=utf-8"


def test_head(files):
    answer = ask(files, "/static/large.bin", method="HEAD")
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", str(len(LARGE)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods(files, method):
    answer = ask(files, "/static/hello.txt", method=method)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


def test_a_large_file_whole_and_again_on_the_same_connection(files):
    with files.connect() as wire:
        for _ in range(3):
            assert wire.request("GET", "/static/large.bin").response().body == LARGE


def test_folders(files):
    assert ask(files, "/static/sub/").body == b"<p>sub</p>"
    assert ask(files, "/static/").body == b"<p>root</p>"
    answer = ask(files, "/static/sub?x=1")
    assert (answer.status, answer.header("location")) == (301, "/static/sub/?x=1")
    assert ask(files, "//static/sub").header("location") == "/static/sub/"


@pytest.mark.parametrize(
    "path",
    [
        *("/static/nothing", "/static/hello.txt/", "/static/hello.txt/x", "/static/.env", "/static/../secret.txt"),
        *("/static/%2e%2e/secret.txt", "/static/..%2fsecret.txt", "/static/sub/..%2f..%2fsecret.txt"),
        *("/static/%2e%2e%2fsecret.txt", "/static/..%5csecret.txt", "/static/%00", "/static/hello.txt%00.js"),
        *("/static/out", "/static/outdir/secret.txt", "/static/pipe", "/static/%zz", "/static/./hello.txt"),
        "/static/" + "x" * 5000,
        "/static//etc/passwd",
    ],
)
def test_what_is_refused(files, path):
    answer = ask(files, path)
    assert (answer.status, answer.body) == (404, b"Not found")


def test_conditions(files):
    first = ask(files, "/static/hello.txt")
    etag, modified = first.header("etag"), first.header("last-modified")
    for field in (f"If-None-Match: {etag}", f'If-None-Match: "x", W/{etag}', f"If-Modified-Since: {modified}"):
        answer = ask(files, "/static/hello.txt", field)
        assert (answer.status, answer.body) == (304, b"")
        assert (answer.header("etag"), answer.header("cache-control")) == (etag, "max-age=86400")
    assert ask(files, "/static/hello.txt", 'If-None-Match: "x"').status == 200
    assert ask(files, "/static/hello.txt", 'If-Match: "x"').status == 412
    assert ask(files, "/static/hello.txt", f"If-Match: {etag}").status == 200
    assert ask(files, "/static/hello.txt", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT").status == 412
    assert ask(files, "/static/hello.txt", f"If-None-Match: {etag}", method="HEAD").status == 304


@pytest.mark.parametrize(("name", "whole"), [("hello.txt", b"Hello, file!"), ("large.bin", LARGE)])
def test_ranges(files, name, whole):
    path, size = f"/static/{name}", len(whole)
    for asked, start, end in [("0-0", 0, 1), ("3-", 3, size), ("-5", size - 5, size), (f"2-{size * 2}", 2, size)]:
        answer = ask(files, path, f"Range: bytes={asked}")
        assert (answer.status, answer.body) == (206, whole[start:end])
        assert answer.header("content-range") == f"bytes {start}-{end - 1}/{size}"
        assert answer.header("content-length") == str(end - start)
    answer = ask(files, path, f"Range: bytes={size}-")
    assert (answer.status, answer.header("content-range")) == (416, f"bytes */{size}")
    assert ask(files, path, "Range: bytes=5-2").body == whole
    assert ask(files, path, "Range: lines=1-2").body == whole
    assert ask(files, path, "Range: bytes=0-0", method="HEAD").status == 200
    etag = ask(files, path).header("etag")
    assert ask(files, path, "Range: bytes=0-0", f"If-Range: {etag}").status == 206
    assert ask(files, path, "Range: bytes=0-0", 'If-Range: "x"').body == whole


@pytest.mark.parametrize(("name", "whole"), [("hello.txt", b"Hello, file!"), ("large.bin", LARGE)])
def test_several_ranges(files, name, whole):
    answer = ask(files, f"/static/{name}", "Range: bytes=0-1,4-5,-2")
    assert answer.status == 206
    kind, _, boundary = answer.header("content-type").partition("; boundary=")
    assert kind == "multipart/byteranges"
    parts = answer.body.split(b"--" + boundary.encode())
    assert (parts[0], parts[-1]) == (b"\r\n", b"--\r\n")
    bodies = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert bodies == [whole[0:2], whole[4:6], whole[-2:]]
    assert f"content-range: bytes 4-5/{len(whole)}".encode() in parts[2]
    assert int(answer.header("content-length")) == len(answer.body)


def test_precompressed(files):
    answer = ask(files, "/static/app.js", "Accept-Encoding: br, gzip")
    assert (answer.header("content-encoding"), gzip.decompress(answer.body)) == ("gzip", b"let a = 1;")
    assert answer.header("vary") == "accept-encoding"
    assert answer.header("content-type") == "text/javascript; charset=utf-8"
    plain = ask(files, "/static/app.js", "Accept-Encoding: gzip;q=0")
    assert (plain.header("content-encoding"), plain.body) == (None, b"let a = 1;")
    assert plain.header("vary") == "accept-encoding"
    assert plain.header("etag") != answer.header("etag")


def test_a_file_that_changes_is_seen_within_two_seconds(server, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    app = server("fairness:app", "asginl", "--static-path-mount", str(tmp_path), fresh=True)
    assert ask(app, "/static/page.html").body == b"old"
    path.write_text("newer")
    until = time.monotonic() + 10
    while ask(app, "/static/page.html").body != b"newer":
        assert time.monotonic() < until
    path.unlink()
    while ask(app, "/static/page.html").status != 404:
        assert time.monotonic() < until


def test_a_file_that_shrinks_while_it_is_sent_cuts_the_connection(server, tmp_path):
    path = tmp_path / "big.bin"
    path.write_bytes(b"x" * 64_000_000)
    app = server("fairness:app", "asginl", "--static-path-mount", str(tmp_path), fresh=True)
    with app.connect() as wire:
        wire.request("GET", "/static/big.bin")
        assert wire.head().header("content-length") == "64000000"
        os.truncate(path, 1000)
        assert len(wire.rest()) < 64_000_000


def test_a_file_that_is_replaced_while_it_is_sent_goes_on(server, tmp_path):
    path = tmp_path / "big.bin"
    path.write_bytes(b"x" * 64_000_000)
    app = server("fairness:app", "asginl", "--static-path-mount", str(tmp_path), fresh=True)
    with app.connect() as wire:
        wire.request("GET", "/static/big.bin")
        wire.head()
        (tmp_path / "new").write_bytes(b"y")
        (tmp_path / "new").rename(path)
        assert wire.exactly(64_000_000) == b"x" * 64_000_000


def test_a_single_page_application(server, tmp_path):
    (tmp_path / "index.html").write_text("<p>app</p>")
    (tmp_path / "app.js").write_text("code")
    options = ("--static-path-route", "/", "--static-path-mount", str(tmp_path), "--static-path-fallback", "index.html")
    app = server("fairness:app", "asginl", *options, "--static-path-dir-to-file", "index.html", fresh=True)
    page = ask(app, "/some/client/route", "Accept: text/html,*/*")
    assert (page.status, page.body, page.header("cache-control")) == (200, b"<p>app</p>", "no-cache")
    root = ask(app, "/", "Accept: text/html")
    assert (root.body, root.header("cache-control")) == (b"<p>app</p>", "no-cache")
    assert ask(app, "/app.js").body == b"code"
    assert ask(app, "/nothing.js", "Accept: */*").status == 404


def test_several_routes_and_no_expiry(server, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f.txt").write_text(name)
    options = [("--static-path-route", f"/{name}", "--static-path-mount", str(tmp_path / name)) for name in ("a", "b")]
    app = server("fairness:app", "asginl", *options[0], *options[1], "--static-path-expires", "0", fresh=True)
    assert [ask(app, f"/{name}/f.txt").body for name in ("a", "b")] == [b"a", b"b"]
    assert ask(app, "/a/f.txt").header("cache-control") is None
    assert formatdate(0) != ask(app, "/a/f.txt").header("date")


def test_a_slow_folder_holds_up_nobody(server, tmp_path):
    """A pipe that nobody writes into stands for a file system that does not answer."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "f.txt").write_text("f")
    app = server("fairness:app", "asginl", "--static-path-mount", str(tmp_path), fresh=True)
    assert ask(app, "/static/pipe").status == 404
    assert ask(app, "/static/f.txt").body == b"f"
