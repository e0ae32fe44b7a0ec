"""Imports point downward only: the layers of docs/ARCHITECTURE.md, read off the `use` lines."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "crates" / "core" / "src"
PROTO = ROOT / "crates" / "proto" / "src"

# What each layer must not name, in code (comments and tests aside).
FORBIDDEN = {
    PROTO: [r"\btokio\b", r"\bmio\b", r"\bpyo3\b", r"std::net\b", r"std::thread\b", r"Instant::now", r"\bunsafe\b"],
    CORE / "net": [r"\bpyo3\b", r"crate::app\b", r"crate::worker\b", r"\bPython\b"],
    CORE / "runtime": [r"\bgranian_proto\b", r"crate::app\b", r"crate::net\b", r"crate::worker\b", r"\bhttparse\b"],
    CORE / "tls": [r"\bpyo3\b", r"crate::app\b", r"crate::worker\b"],
    CORE / "app": [r"\bmio\b", r"\btokio\b", r"crate::worker\b", r"crate::net::(h1|h2|io|listener|output|protocol)\b"],
}
# The only files that name an event loop's machinery or the poller.
POLLER_FILES = {
    "net/io.rs",
    "net/listener.rs",
    "runtime/reactor.rs",
    "runtime/readiness.rs",
    "runtime/waker.rs",
    "worker.rs",
}


def code_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a Rust file without comments and without its test module."""
    lines = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.strip().startswith("#[cfg(test)]"):
            break
        code = re.sub(r"//.*", "", line)
        if code.strip():
            lines.append((number, code))
    return lines


def rust_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.rs") if "tests" not in path.stem)


@pytest.mark.parametrize("layer", [layer for layer in FORBIDDEN if layer.exists()], ids=lambda layer: layer.name)
def test_a_layer_names_nothing_above_it(layer: Path) -> None:
    breaches = []
    for path in rust_files(layer):
        for number, code in code_lines(path):
            for pattern in FORBIDDEN[layer]:
                if re.search(pattern, code) and "forbid(unsafe_code)" not in code:
                    breaches.append(f"{path.relative_to(ROOT)}:{number}: {pattern}")
    assert breaches == []


def test_the_poller_has_few_friends() -> None:
    named = {
        str(path.relative_to(CORE))
        for path in rust_files(CORE)
        for _, code in code_lines(path)
        if re.search(r"\bmio::", code) and path.name != "lib.rs"
    }
    assert named <= POLLER_FILES


def test_the_layers_exist() -> None:
    """A renamed folder must not make the rules above pass for want of files."""
    for layer in (PROTO, CORE / "net", CORE / "runtime", CORE / "app"):
        assert rust_files(layer), layer


def test_the_page_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`([\w/]+\.(?:rs|py))`", page))
    files = [
        f"/{path.relative_to(ROOT)}" for folder in ("crates", "granian", "tests") for path in (ROOT / folder).rglob("*")
    ]
    assert len(named) > 40
    assert sorted(name for name in named if not any(file.endswith(f"/{name}") for file in files)) == []
