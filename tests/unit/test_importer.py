"""Targets: what they name, and what is said when there is nothing."""

from __future__ import annotations

import os
import sys

import pytest

from granian import _internal
from granian.importer import (
    build_env_loader,
    find_target,
    get_import_components,
    load_module,
    load_target,
    patch_pypath,
)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with modules, as the current one; nothing imported is left behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    write(tmp_path / "granian_one.py", "app = 'one'\nclass Holder:\n    inner = 'inner'\n")
    write(tmp_path / "granian_pkg" / "__init__.py", "app = 'package'")
    write(tmp_path / "granian_pkg" / "mod.py", "app = __name__")
    write(tmp_path / "folder" / "granian_two.py", "app = 'two'")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(file, text):
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("target", "components"),
    [
        ("main", ["main", None]),
        ("main:", ["main", None]),
        ("main:app", ["main", "app"]),
        ("main:a.b", ["main", "a.b"]),
        ("C:\\dir\\main.py:app", ["C:\\dir\\main.py", "app"]),
        ("C:/dir/main.py", ["C:/dir/main.py", None]),
        (":app", [None, "app"]),
    ],
)
def test_components(target, components):
    assert get_import_components(target) == components


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("granian_one", "one"),
        ("granian_one:app", "one"),
        ("granian_one.py", "one"),
        ("./granian_one.py:Holder.inner", "inner"),
        ("granian_pkg", "package"),
        ("granian_pkg/__init__.py", "package"),
        ("granian_pkg.mod", "granian_pkg.mod"),
        ("granian_pkg/mod", "granian_pkg.mod"),
        ("granian_pkg/mod.py:app", "granian_pkg.mod"),
        ("folder/granian_two:app", "two"),
        ("folder/granian_two.py", "two"),
    ],
)
def test_targets(target, found):
    assert find_target(target) == found


def test_absolute_path(project):
    assert find_target(f"{project}/folder/granian_two.py") == "two"


def test_working_dir_wins(project):
    write(project / "folder" / "granian_one.py", "app = 'of the working dir'")
    assert find_target("granian_one", project / "folder") == "of the working dir"
    assert os.getcwd() == str(project / "folder")
    assert sys.path[0] == str(project / "folder")


def test_working_dir_and_a_path_from_where_it_was_launched(project):
    write(project / "other" / "granian_three.py", "import granian_two as two\napp = two.app")
    assert find_target("other/granian_three.py", project / "folder") == "two"
    assert sys.path[0] == str(project / "folder")


def test_factories(project):
    write(
        project / "granian_make.py",
        "async def slow():\n    return 'slow'\ndef quick():\n    return 'quick'\n",
    )
    assert load_target("granian_make:slow", factory=True) == "slow"
    assert load_target("granian_make:quick", factory=True) == "quick"
    assert callable(load_target("granian_make:quick"))


@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        ("", "nowhere:app", RuntimeError, r"^Could not import 'nowhere'\.$"),
        ("", "granian_bad.sub:app", RuntimeError, r"^Could not import|is not a package"),
        ("import nonsense_not_there", "granian_bad", RuntimeError, "(?s)While importing 'granian_bad'.*Traceback"),
        ("from os import nonsense", "granian_bad", RuntimeError, "(?s)While importing 'granian_bad'.*nonsense"),
        ("1/0", "granian_bad", ZeroDivisionError, "division"),
        ("def app(:", "granian_bad", SyntaxError, "syntax"),
        ("", "granian_bad:app", AttributeError, "'granian_bad' has no attribute 'app'"),
        ("x = 1", "granian_bad:x.y", AttributeError, "has no attribute 'x.y'"),
        ("", ":app", ValueError, "names no module"),
    ],
)
def test_errors(project, source, target, error, message):
    write(project / "granian_bad.py", source)
    with pytest.raises(error, match=message):
        find_target(target)


def test_no_failure_on_request():
    assert load_module("nowhere", raise_on_failure=False) is None


def test_patch_pypath(project):
    patch_pypath(None)
    assert sys.path[0] == ""
    patch_pypath(project)
    assert sys.path[0] == str(project)


def test_env_files(project, monkeypatch):
    monkeypatch.setenv("GRANIAN_TEST_GIVEN", "given")
    monkeypatch.setenv("GRANIAN_TEST_NEW", "1")
    monkeypatch.delenv("GRANIAN_TEST_NEW")
    write(project / "one.env", "GRANIAN_TEST_GIVEN=x\nGRANIAN_TEST_NEW=1\nGRANIAN_TEST_BARE\n")
    write(project / "two.env", "GRANIAN_TEST_NEW=2\n")
    load = build_env_loader()
    assert load([project / "one.env", project / "two.env"]) == {"GRANIAN_TEST_NEW": "2"}
    assert os.environ["GRANIAN_TEST_GIVEN"] == "given"
    write(project / "two.env", "GRANIAN_TEST_NEW=3\n")
    load([project / "two.env"])
    assert os.environ["GRANIAN_TEST_NEW"] == "3"
    assert load(None) == {}


def test_the_other_name_of_the_helpers():
    assert _internal.load_target is load_target
    assert all(hasattr(_internal, name) for name in _internal.__all__)
