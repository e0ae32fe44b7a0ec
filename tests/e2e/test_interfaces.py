"""`granian main:app` without `--interface`: the application tells what it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from .server import APPS

FOUND = {
    "asgi_probe:app": "asgi",
    "rsgi_probe:app": "rsgi",
    "rsgi_probe:plain_function": "rsgi",
    "wsgi_probe:app": "wsgi",
    "wsgi_probe:validated": "wsgi",
}


@pytest.mark.parametrize("target", FOUND)
def test_plain_applications(server, target):
    assert server(target, None).get("/").body == b"hello"


FRAMEWORKS = {
    "fastapi_app": "asgi",
    "starlette_app": "asgi",
    "litestar_app": "asgi",
    "quart_app": "asgi",
    "django_asgi": "asgi",
    "django_wsgi": "wsgi",
    "flask_app": "wsgi",
    "falcon_asgi": "asgi",
    "falcon_wsgi": "wsgi",
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_frameworks(server, name):
    package = name.partition("_")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    assert (APPS / f"{name}.py").exists()
    assert server(f"{name}:app", None).get("/").body == b"home"


SHAPES = {
    "async function": ("async def app(scope, receive, send):\n    await hello(send)", b"asgi"),
    "class with async call": (
        "class App:\n    async def __call__(self, scope, receive, send):\n        await hello(send)\napp = App()",
        b"asgi",
    ),
    "partial": (
        "import functools\nasync def f(x, scope, receive, send):\n    await hello(send)\napp = functools.partial(f, 1)",
        b"asgi",
    ),
    "wsgi function": (
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'wsgi']",
        b"wsgi",
    ),
    "wsgi class": (
        "class App:\n    def __call__(self, environ, start_response):\n        start_response('200 OK', [])\n"
        "        return [b'wsgi']\napp = App()",
        b"wsgi",
    ),
    "rsgi function": ("async def app(scope, proto):\n    proto.response_str(200, [], 'rsgi')", b"rsgi"),
    "rsgi object": (
        "class App:\n    async def __rsgi__(self, scope, proto):\n        proto.response_str(200, [], 'rsgi')\n"
        "app = App()",
        b"rsgi",
    ),
}
HELLO = """
async def hello(send):
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'asgi'})


"""


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(server, tmp_path: Path, name):
    code, expected = SHAPES[name]
    (tmp_path / "shape.py").write_text(HELLO + code + "\n")
    assert server("shape:app", None, fresh=True, cwd=tmp_path).get("/").body == expected


def test_what_cannot_be_told_apart_is_rsgi(server, tmp_path: Path):
    code = "async def app(*args):\n    args[1].response_str(200, [], str(len(args)))\n"
    (tmp_path / "shape.py").write_text(code)
    own = server("shape:app", None, fresh=True, cwd=tmp_path)
    assert own.get("/").body == b"2"
    assert len([line for line in own.lines() if "rsgi" in line.lower()]) == 1
