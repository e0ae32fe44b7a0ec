"""`granian main:app` without `--interface`: the application tells what it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from .websocket import open_websocket

PLAIN = ["asgi_probe:app", "rsgi_probe:app", "rsgi_probe:plain_function", "wsgi_probe:app"]


@pytest.mark.parametrize("target", PLAIN)
def test_plain_applications(server, target):
    assert server(target, None).get("/").body == b"hello"


# The frameworks' own objects: the validator around some hides what they are.
FRAMEWORKS = [
    "fastapi_app:app",
    "starlette_app:app",
    "litestar_app:app",
    "quart_app:app",
    "django_asgi:app",
    "django_wsgi:django",
    "flask_app:flask",
    "falcon_asgi:app",
    "falcon_wsgi:falcon_app",
]


@pytest.mark.parametrize("target", FRAMEWORKS)
def test_frameworks(server, target):
    package = target.partition("_")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    assert server(target, None).get("/").body == b"home"


@pytest.mark.parametrize("target", [target for target in FRAMEWORKS if target.partition("_")[2] == "app:app"])
def test_asgi_frameworks_under_rsgi(server, target):
    """They are served on ASGI: Starlette's page needs its lifespan."""
    package = target.partition("_")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    probe = server(target, "rsgi")
    assert probe.get("/").body == b"home"
    assert sum("speaks ASGI and not RSGI" in line for line in probe.lines()) == 1


def test_websockets_of_asgi_under_rsgi(server):
    if importlib.util.find_spec("starlette") is None:
        pytest.skip("starlette is not installed")
    with open_websocket(server("ws_starlette:app", "rsgi"), "/echo", "Sec-WebSocket-Protocol: chat") as websocket:
        assert websocket.response.header("sec-websocket-protocol") == "chat"
        websocket.send("hello")
        assert websocket.message() == "hello"
        assert websocket.close() == (1000, "")


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
