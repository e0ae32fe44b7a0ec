"""Files of frameworks leave by sendfile, seen with strace; collected static files of Django, WhiteNoise left in."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .server import Server

LARGE = bytes(range(256)) * 4096
STRACE = shutil.which("strace")
# Frameworks that name their files to the server, the paths of the file, and further options.
FAST = {
    "starlette": ("asgi", "/file", ()),
    "starlette-folder": ("asgi", "/folder/file.bin", ()),
    "flask": ("wsgi", "/file", ("--blocking-threads", "1")),
    "flask-threads": ("wsgi", "/file", ("--blocking-threads", "4")),
    "flask_named": ("wsgi", "/file", ()),
    "django_wsgi": ("wsgi", "/file", ()),
    "django_asgi_named": ("asginl", "/named", ()),
    "litestar_named": ("asgi", "/file", ()),
}
# Those that read them piece by piece, although the server offers to be told the path (docs/static.md).
SLOW = {"litestar": "asgi", "django_asgi": "asginl"}


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("files") / "file.bin"
    file.write_bytes(LARGE)
    return file


@contextmanager
def traced(pid: int, into: Path) -> Iterator[None]:
    """The calls of sendfile of a process and its threads are written `into` a file."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    command = [STRACE, "-f", "-qq", "-e", "trace=sendfile", "-o", str(into), "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not re.search(r"TracerPid:\s+[1-9]", Path(f"/proc/{pid}/status").read_text()):
            if tracer.poll() is not None:
                pytest.skip("this system lets nobody trace")
            time.sleep(0.01)
        yield
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        tracer.wait()


@pytest.mark.parametrize("name", FAST)
def test_files_leave_by_sendfile(server, file, tmp_path, name):
    interface, path, options = FAST[name]
    target = f"file_apps:{name.partition('-')[0]}"
    if name.endswith("_named"):
        options = ("--sendfile-map", f"/files={file.parent}")
    app = server(target, interface, "--factory", *options, env={"FILE": str(file)}, fresh=True)
    assert app.get(path).body == LARGE
    with traced(app.worker, tmp_path / "calls"):
        answer = app.get(path)
    assert (answer.body, answer.header("content-length")) == (LARGE, str(len(LARGE)))
    assert "sendfile(" in (tmp_path / "calls").read_text()
    with app.connect() as wire:
        head = wire.request("HEAD", path).response("HEAD")
        # Litestar has no HEAD of its own.
        assert head.status == 405 or head.header("content-length") == str(len(LARGE))
    part = app.get(path, "Range: bytes=10-19")
    if part.status == 206:
        assert part.body == LARGE[10:20]


@pytest.mark.parametrize("name", SLOW)
def test_files_that_are_read_piece_by_piece(server, file, name):
    app = server(f"file_apps:{name}", SLOW[name], "--factory", env={"FILE": str(file)}, fresh=True)
    assert app.get("/file").body == LARGE
    # A framework that has begun to name its files belongs to the fast ones.
    assert app.note("sent") == [True, "http.response.body", "http.response.start"]


SETTINGS = """
import os
from django.conf import settings
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path
from django.core.wsgi import get_wsgi_application

BASE = os.path.dirname(os.path.abspath(__file__))
settings.configure(
    ROOT_URLCONF=(path("", lambda request: HttpResponse(static("site.css"))),),
    ALLOWED_HOSTS=["*"], SECRET_KEY="x", INSTALLED_APPS=["django.contrib.staticfiles"],
    MIDDLEWARE=["whitenoise.middleware.WhiteNoiseMiddleware"],
    STATIC_URL="/static/", STATIC_ROOT=os.path.join(BASE, "collected"), STATICFILES_DIRS=[os.path.join(BASE, "assets")],
    STORAGES={"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}},
)
app = get_wsgi_application()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of Django whose static files are collected, as its guide and WhiteNoise's say."""
    pytest.importorskip("whitenoise")
    project = tmp_path_factory.mktemp("project")
    (project / "assets").mkdir()
    (project / "assets" / "site.css").write_text("body { color: #123456; }\n" * 100)
    (project / "site_app.py").write_text(SETTINGS)
    code = "import site_app; from django.core.management import call_command as c; c('collectstatic', '--noinput')"
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True, capture_output=True)
    return project


def check_collected(app: Server, project: Path, cache_control: str) -> None:
    name = app.get("/").text
    assert re.fullmatch(r"/static/site\.[0-9a-f]{12}\.css", name)
    plain = (project / "assets" / "site.css").read_bytes()
    answer = app.get(name)
    assert (answer.status, answer.body) == (200, plain)
    assert answer.header("cache-control") == cache_control
    packed = app.get(name, "Accept-Encoding: gzip")
    assert packed.header("content-encoding") == "gzip"
    assert "accept-encoding" in (packed.header("vary") or "").lower()


def test_collected_files_of_django_in_front_of_whitenoise(server, project):
    options = (
        *("--static-path-route", "/static", "--static-path-mount", str(project / "collected")),
        *("--static-path-precompressed", "--static-path-immutable", r"\.[0-9a-f]{12}\."),
    )
    app = server("site_app:app", "wsgi", *options, cwd=project, fresh=True)
    check_collected(app, project, "public, max-age=31536000, immutable")


def test_whitenoise_by_itself(server, project):
    app = server("site_app:app", "wsgi", cwd=project, fresh=True)
    check_collected(app, project, "max-age=315360000, public, immutable")
