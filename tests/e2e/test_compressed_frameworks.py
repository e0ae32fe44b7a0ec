"""`--compress` with the responses of frameworks, as curl, httpx and Chromium decode them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from .server import APPS, Server
from .test_browser import CHROMIUM, browsing, certificate

sys.path.append(str(APPS))
from compressible import EVENTS, TEXT

__all__ = ["certificate"]
FRAMEWORKS = {
    "flask": "wsgi",
    "django_wsgi": "wsgi",
    "django_asgi": "asginl",
    "starlette": "asgi",
    "fastapi": "asgi",
    "litestar": "asgi",
    "rsgi": "rsgi",
}
CODINGS = ("gzip", "br", "zstd")
VERSIONS = {"1.1": {"http2": False}, "2": {"http1": False, "http2": True}}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the browser's page."""
    site = tmp_path_factory.mktemp("site")
    (site / "index.html").write_text(PAGE)
    return site


@pytest.fixture
def start(server, site) -> Callable[..., Server]:
    options = ("--factory", "--compress", "--static-path-route", "/page", "--static-path-mount", str(site))
    log = ("--access-log", "--access-log-fmt", "@access %(path)s %(query_string)s")
    return lambda name, *more: server(f"compressible:{name}", FRAMEWORKS[name], *options, *log, *more)


@pytest.fixture(params=FRAMEWORKS)
def app(request, start) -> Server:
    return start(request.param)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(app):
    known = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    for coding in CODINGS:
        if {"gzip": "libz", "br": "brotli", "zstd": "zstd"}[coding] not in known:
            continue
        for number, option in [("1.1", "--http1.1"), ("2", "--http2-prior-knowledge")]:
            # One at a time: curl 7.88 fails to use a connection again that began with HTTP/2, with nginx as well.
            for path in ("whole", "stream"):
                write = ["-w", "%{stderr}%{http_version} %{size_download}"]
                command = ["curl", "-s", option, "--compressed", "-H", f"accept-encoding: {coding}", *write]
                done = subprocess.run([*command, f"{app.url}/{path}"], capture_output=True, text=True, check=True)
                assert done.stdout == TEXT
                version, size = done.stderr.split()
                assert version == number
                assert 0 < int(size) < len(TEXT) / 4


@pytest.mark.parametrize("version", VERSIONS)
def test_httpx(app, version):
    with httpx.Client(base_url=app.url, **VERSIONS[version]) as client:
        for coding in CODINGS:
            for path in ("/whole", "/stream"):
                answer = client.get(path, headers={"accept-encoding": coding})
                assert answer.http_version == f"HTTP/{version}"
                assert answer.headers["content-encoding"] == coding
                assert answer.text == TEXT
            with client.stream("GET", "/events", headers={"accept-encoding": coding}) as events:
                assert events.headers["content-encoding"] == coding
                pieces = (piece for piece in events.iter_text() if piece)
                # The second one is not made before the first one is here.
                assert next(pieces) == EVENTS[0]
                assert app.get("/next").status == 200
                assert "".join(pieces) == EVENTS[1]


PAGE = """<!doctype html><link rel="icon" href="data:,"><script>
async function digest(text) {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, "0")).join("");
}
async function main() {
  const seen = {};
  for (const path of ["/whole", "/stream"]) {
    const answer = await fetch(path);
    seen[path] = [await digest(await answer.text()), answer.headers.get("content-encoding")];
  }
  seen.version = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  const source = new EventSource("/events");
  seen.events = [];
  source.onmessage = async event => {
    seen.events.push(event.data);
    if (seen.events.length === 1) return await fetch("/next");
    source.close();
    await fetch("/page/report?" + encodeURIComponent(JSON.stringify(seen)));
    const [next, ...rest] = location.search.slice(1).split(",");
    if (next) location.assign(`${next}/page/index.html?${rest}`);
  };
}
main().catch(error => fetch("/page/report?" + encodeURIComponent(String(error))));
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt install chromium)")
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("scheme", "names"), [("http", FRAMEWORKS), ("https", ("flask", "starlette", "rsgi"))])
def test_chromium(start, request, tmp_path: Path, scheme, names):
    """The browser goes from server to server. It takes all three codings, of which zstd is the server's first."""
    secured = request.getfixturevalue("certificate") if scheme == "https" else ()
    apps = [start(name, *secured) for name in names]
    marks = [app.mark() for app in apps]
    first, *rest = [app.url.replace("http:", f"{scheme}:") for app in apps]
    right = [hashlib.sha256(TEXT.encode()).hexdigest(), "zstd"]
    version = "h2" if scheme == "https" else "http/1.1"
    with browsing(f"{first}/page/index.html?{','.join(rest)}", tmp_path, secured):
        for app, mark in zip(apps, marks, strict=True):
            seen = json.loads(unquote(app.wait_line(r"@access /page/report (\S+)", mark, timeout=60)[1]))
            assert seen == {"/whole": right, "/stream": right, "version": version, "events": ["one", "two"]}
