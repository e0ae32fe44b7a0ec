"""Imports point downward only: the layers of docs/ARCHITECTURE.md, read off the `use` lines."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "crates" / "core" / "src"
NET = ROOT / "crates" / "net" / "src"
PROTO = ROOT / "crates" / "proto" / "src"

PROTOCOLS = r"crate::(h1|h2|ws|transfer|protocol|listener|service)\b"
# The names that each layer must not have in its code, comments and tests aside. No pattern keeps Python out of
# granian-proto and granian-net: their manifests do not name it.
FORBIDDEN = {
    PROTO: [r"\btokio\b", r"\bmio\b", r"std::net\b", r"std::thread\b", r"Instant::now", r"\bunsafe\b"],
    NET / "runtime": [r"\bgranian_proto\b", r"crate::(?!runtime\b)", r"\bhttparse\b"],
    NET / "stream": [r"\bgranian_proto\b", r"crate::(exchange|tls|admission|responders)\b", PROTOCOLS],
    NET / "tls": [r"\bgranian_proto\b", r"crate::(exchange|admission|responders)\b", PROTOCOLS],
    NET / "admission": [r"crate::(stream|exchange|tls|responders)\b", PROTOCOLS],
    NET / "exchange": [r"crate::(admission(?!::queue::Permit\b)|responders)\b", PROTOCOLS],
    NET / "metrics": [r"crate::(admission|tls|stream|responders)\b", PROTOCOLS],
    NET / "log": [r"crate::(admission|tls|stream|responders|metrics)\b", PROTOCOLS],
    NET / "h1": [r"crate::(transfer|listener|protocol|responders)\b"],
    # HTTP/3 streams will be carried by it too: the `h2` crate's types stay out.
    NET / "transfer": [r"\bh2::(?!Promise\b)", r"crate::(h1|listener|protocol|responders)\b"],
    NET / "h2": [r"crate::(h1|listener|protocol|responders)\b"],
    NET / "ws": [r"crate::(h1|h2|transfer|listener|protocol|responders)\b"],
    NET / "placement": [r"crate::(h1|h2|ws|transfer|protocol)\b"],
    NET / "responders": [r"crate::(h1|h2|ws|transfer|stream(?!::region\b)|protocol|listener|admission)\b"],
    CORE / "app": [r"\bmio\b", r"\btokio\b", r"crate::worker\b"],
}
# The only files that name the poller.
POLLER_FILES = {
    "crates/net/src/stream/socket.rs",
    "crates/net/src/listener.rs",
    "crates/net/src/runtime/reactor.rs",
    "crates/net/src/runtime/readiness.rs",
    "crates/net/src/runtime/waker.rs",
    "crates/core/src/sites.rs",
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


@pytest.mark.parametrize("layer", FORBIDDEN, ids=lambda layer: layer.name)
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
        str(path.relative_to(ROOT))
        for path in (*rust_files(CORE), *rust_files(NET))
        for _, code in code_lines(path)
        if re.search(r"\bmio::", code) and path.name != "lib.rs"
    }
    assert named <= POLLER_FILES


PACKAGE = ROOT / "granian"
# The modules that the rooms of the package must not import.
FORBIDDEN_IMPORTS = {
    "worker": ("supervisor", "server", "cli"),
    "supervisor": ("server", "cli"),
    "interfaces": ("worker", "supervisor", "server", "cli"),
    "config": ("worker", "supervisor", "server", "cli"),
    "metrics": ("worker", "supervisor", "server", "cli"),
    "status": ("worker", "supervisor", "server", "cli"),
}


def imports(path: Path) -> set[str]:
    """Rooms and modules of the package that a Python file imports, wherever in it: `worker`, `log`, ..."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = list(path.relative_to(PACKAGE).parts[: -node.level])
            named = [*parts, *(node.module or "").split(".")] if node.module else parts
            found |= {named[0]} if named else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("granian."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "granian":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("granian.")}
    return found


@pytest.mark.parametrize("room", FORBIDDEN_IMPORTS)
def test_a_room_of_the_package_imports_nothing_above_it(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert len(files) > 1
    assert {str(path.relative_to(ROOT)): imports(path) & {*FORBIDDEN_IMPORTS[room]} for path in files} == {
        str(path.relative_to(ROOT)): set() for path in files
    }


def test_a_worker_needs_no_supervisor() -> None:
    """Not by way of another module either."""
    program = "import sys, granian.worker.life; print(*sys.modules, sep='\\n')"
    # The package itself shows the server.
    bare = f"import sys, types; granian = sys.modules['granian'] = types.ModuleType('granian'); \
granian.__path__ = [{str(PACKAGE)!r}]; {program}"
    ended = subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True, check=True)
    loaded = ended.stdout.split()
    assert "granian.worker.life" in loaded
    assert [name for name in loaded if name.startswith(("granian.supervisor", "granian.server"))] == []


def test_the_layers_exist() -> None:
    """A renamed folder must not make the rules above pass for want of files."""
    for layer in FORBIDDEN:
        assert rust_files(layer), layer


def test_the_wall_stands_in_the_manifests() -> None:
    for crate in ("proto", "net"):
        assert "pyo3" not in (ROOT / "crates" / crate / "Cargo.toml").read_text()


def test_the_page_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`([\w/]+\.(?:rs|py))`", page))
    files = [
        f"/{path.relative_to(ROOT)}" for folder in ("crates", "granian", "tests") for path in (ROOT / folder).rglob("*")
    ]
    assert len(named) > 40
    assert sorted(name for name in named if not any(file.endswith(f"/{name}") for file in files)) == []
