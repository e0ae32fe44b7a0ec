"""`granian TARGET`: what can be named, and what is said when it cannot be loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

APP = """
async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": __name__.encode()})


app = hello


def make():
    return hello


class Holder:
    inner = staticmethod(hello)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path in ("main.py", "folder/plain.py", "package/__init__.py", "package/module.py", "package/sub/__init__.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(APP)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/wsgi.py").write_text("def application(environ, start_response): ...")
    (tmp_path / "broken.py").write_text("import nonsense_that_is_not_there\n")
    (tmp_path / "wrong.py").write_text("def\n")
    (tmp_path / "raises.py").write_text("raise ValueError('at import')\n")
    return tmp_path


TARGETS = {
    "main": "main",
    "main:app": "main",
    "main:hello": "main",
    "main:Holder.inner": "main",
    "main.py": "main",
    "./main.py:app": "main",
    "folder/plain": "plain",
    "folder/plain.py:app": "plain",
    "package:app": "package",
    "package/__init__.py": "package",
    "package.module:app": "package.module",
    "package/module.py": "package.module",
    "package/sub": "package.sub",
}


@pytest.mark.parametrize("target", TARGETS)
def test_target(server, project, target):
    assert server(target, "asginl", fresh=True, cwd=project).get("/").text == TARGETS[target]


def test_absolute_path(server, project, tmp_path):
    own = server(f"{project}/package/module.py:app", "asginl", fresh=True)
    assert own.get("/").text == "package.module"


def test_factory(server, project):
    assert server("main:make", "asginl", "--factory", fresh=True, cwd=project).get("/").text == "main"


def test_working_dir(server, project):
    own = server("plain:app", "asginl", "--working-dir", f"{project}/folder", fresh=True, cwd=project)
    assert own.get("/").text == "plain"


MISTAKES = {
    ("shop.wsgi",): "The module 'shop.wsgi' has no attribute 'app'. Did you mean 'shop.wsgi:application'?",
    ("shop/wsgi.py:ap",): "The module 'shop/wsgi.py' has no attribute 'ap'. Did you mean 'shop/wsgi.py:application'?",
    ("main:helo",): "The module 'main' has no attribute 'helo'. Did you mean 'main:app'?",
    ("main.hello",): "Could not import 'main.hello'. Did you mean 'main:hello'?",
    ("mian:hello",): "Could not import 'mian'. Did you mean 'main:hello'?",
    ("main:make",): "main:make takes no arguments, as a factory does: add --factory to serve what it makes",
    ("main:app", "--factory"): "main:app takes (scope, receive, send): a factory takes nothing, so leave --factory out",
    ("main:Holder",): "main:Holder is a class: name an application made of it, or add --factory to have one made",
    ("main:app", "--interface", "wsgi"): "main:app speaks ASGI and not WSGI: use --interface asgi",
    ("main:__name__",): "main:__name__ is an object of type str, which is no application: it cannot be called",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_mistakes_are_told_in_one_line(launch, project, arguments):
    target, *options = arguments
    failing = launch(target, None if "--interface" in options else "asginl", *options, cwd=project)
    assert failing.wait_exit(20) == 1
    (line,) = [line for line in failing.lines() if "ERROR" in line]
    assert line.endswith(MISTAKES[arguments])
    assert "Traceback" not in failing.log()


FAILURES = {
    "nowhere:app": "Could not import 'nowhere'",
    "main:nothing": "nothing",
    "broken:app": "nonsense_that_is_not_there",
    "wrong:app": "SyntaxError",
    "raises:app": "ValueError: at import",
}


@pytest.mark.parametrize("target", FAILURES)
def test_target_that_cannot_be_loaded(launch, project, target):
    failing = launch(target, "asginl", cwd=project)
    assert failing.wait_exit(20) == 1
    assert FAILURES[target] in failing.log()
    assert "Started worker-1" not in failing.log()


def test_address_in_use(launch, project):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        failing = launch("main", "asginl", "--port", str(holder.getsockname()[1]), cwd=project)
        assert failing.wait_exit(20) == 1
    assert "Traceback" not in failing.log()
    assert "in use" in failing.log()


@pytest.mark.parametrize("option", [["--port", "x"], ["--interface", "cgi"], ["--nonsense"], ["--workers", "0"]])
def test_usage_errors(launch, project, option):
    failing = launch("main", None, *option, cwd=project)
    assert failing.wait_exit(20) == 2
    (line,) = failing.lines()
    assert line.startswith("Error: ")
    assert option[0] in line
