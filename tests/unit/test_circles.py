"""No circles of modules: a file of a crate does not import a file that imports it, directly or by way of others.

A folder's `mod.rs` and the files below it count as one where they import each other: they share a type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CRATES = Path(__file__).parents[2] / "crates"


def module_of(path: Path, source: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return "/".join(parts[:-1] if parts[-1] in ("mod", "lib") else parts)


def code_of(path: Path) -> str:
    """The file without comments and without its test module."""
    code = re.sub(r"//.*", "", path.read_text())
    return code.partition("#[cfg(test)]")[0]


def paths_of(tree: str) -> Iterator[str]:
    """`a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`."""
    head, brace, rest = tree.partition("{")
    if not brace:
        yield tree.strip().partition(" as ")[0]
        return
    depth, part = 0, ""
    for char in rest.rpartition("}")[0] + ",":
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and not depth:
            if part.strip():
                yield from (head.strip() + path for path in paths_of(part))
            part = ""
        else:
            part += char


def target_of(path: str, module: str, modules: set[str]) -> str | None:
    """The module of this crate that a path of a `use` line is in."""
    names = path.split("::")
    place = module.split("/") if module else []
    if names[0] == "crate":
        place, names = [], names[1:]
    elif names[0] in ("self", "super"):
        while names and names[0] in ("self", "super"):
            if names.pop(0) == "super":
                place = place[:-1]
    else:
        return None
    found = [*place, *names]
    while "/".join(found) not in modules:
        found.pop()
    return "/".join(found)


def is_family(one: str, other: str) -> bool:
    return not one or not other or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def imports_of(crate: str) -> dict[str, set[str]]:
    source = CRATES / crate / "src"
    files = {module_of(path, source): path for path in source.rglob("*.rs") if "tests" not in path.as_posix()}
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        uses = re.findall(r"\buse\s+([^;]+);", code_of(path))
        targets = {target_of(one, module, set(files)) for use in uses for one in paths_of(use)}
        found[module] = {target for target in targets if target is not None and not is_family(module, target)}
    return found


def reached(imports: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    left = [*imports[start]]
    while left:
        module = left.pop()
        if module not in seen:
            seen.add(module)
            left += imports[module]
    return seen


@pytest.mark.parametrize("crate", ["proto", "net", "core"])
def test_no_module_imports_one_that_imports_it(crate):
    imports = imports_of(crate)
    assert sum(map(len, imports.values())) > 20
    assert [module for module in imports if module in reached(imports, module)] == []


def test_a_circle_is_found():
    assert [*paths_of("a::{b, c::{d, e as f}}")] == ["a::b", "a::c::d", "a::c::e"]
    modules = {"", "a", "a/b", "c"}
    assert target_of("super::c::Name", "a", modules) == "c"
    assert target_of("crate::a::b::Name", "c", modules) == "a/b"
    assert target_of("self::b::{Name", "a", modules) == "a/b"
    assert target_of("std::io", "a", modules) is None
    assert "a" in reached({"a": {"b"}, "b": {"c"}, "c": {"a"}}, "a")
