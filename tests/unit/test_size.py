"""`tools/size.py`: what is too long is named, unless a reason stands beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "tools" / "size.py"


@pytest.fixture(scope="module")
def size():
    spec = importlib.util.spec_from_file_location("size", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["size"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["size"]


def rust_function(lines: int, above: str = "") -> str:
    return f"{above}pub(crate) async fn long(\n    a: u8,\n) {{\n" + "    step();\n" * (lines - 4) + "}\n"


def python_function(lines: int, above: str = "") -> str:
    return f"{above}def long():\n" + "    step()\n" * (lines - 1)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.rs", "//! a\n" * 400, []),
        ("a.rs", "//! a\n" * 401, [401]),
        ("a.rs", "//! a\n//! size: a reason\n" * 300, []),
        ("a.rs", "//! a\n//! size:\n" * 300, [600]),
        ("a.rs", "//! a\n" * 300 + "#[cfg(test)]\n" + "// b\n" * 300, []),
        ("a/tests/b.rs", "//! a\n" * 500, []),
        ("a.py", "# a\n" * 300, []),
        ("a.py", "# a\n" * 301, [301]),
        ("a.py", '"""A.\n\nsize: a reason\n"""\n' + "# a\n" * 301, []),
        ("tests/unit/test_a.py", "# a\n" * 500, []),
        ("a.rs", rust_function(60), []),
        ("a.rs", rust_function(61), [61]),
        ("a.rs", "fn short() {}\n" + rust_function(61), [61]),
        ("a.rs", "trait A {\n    fn a(&self);\n}\n" + rust_function(61), [61]),
        ("a.rs", rust_function(61, "/// Long.\n// size: a reason\n#[inline]\n"), []),
        ("a/tests/b.rs", rust_function(61), [61]),
        ("a.py", python_function(60), []),
        ("a.py", python_function(61), [61]),
        ("a.py", python_function(61, "# size: a reason\n@wrapped\n"), []),
    ],
)
def test_excesses(size, tmp_path, name, text, lines):
    path = tmp_path / Path(name).name
    path.write_text(text)
    assert [excess.lines for excess in size.excesses(path, name)] == lines


def test_this_checkout(size, capsys):
    assert size.main() == 0, capsys.readouterr().out
