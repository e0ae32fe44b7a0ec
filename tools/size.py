"""The size of files and functions: what is above the house's limit needs a reason beside it.

A reason is a comment or a line of the docstring that begins with `size:`, among the first lines of the file, or a
comment above the function. Rust files are counted up to their test module. The files of tests are not counted, but
their functions are. `make check` runs this.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUST_FILE = 400
PYTHON_FILE = 300
FUNCTION = 60
# A reason for a file stands among so many first lines.
HEAD = 12
# A reason for a function stands in the lines of comments and attributes above it.
REASON = re.compile(r"^\s*(//[/!]?|#)?\s*size: \S")
RUST_FUNCTION = re.compile(r'(\s*)(?:pub(?:\([^)]*\))? )?(?:const )?(?:async )?(?:unsafe )?(?:extern "\w+" )?fn (\w+)')
ABOVE = re.compile(r"\s*(//|#|@|\")")


@dataclass(frozen=True)
class Excess:
    """A file or a function above its limit."""

    place: str
    lines: int
    limit: int

    def __str__(self) -> str:
        return f"{self.place}: {self.lines} lines, more than {self.limit}, and no `size:` comment that says why"


def excesses(path: Path, name: str) -> Iterator[Excess]:
    """Those of one file without a reason."""
    lines = path.read_text().splitlines()
    is_rust = path.suffix == ".rs"
    limit = RUST_FILE if is_rust else PYTHON_FILE
    counted = _before_tests(lines) if is_rust else len(lines)
    if counted > limit and not _is_test(name) and not any(map(REASON.search, lines[:HEAD])):
        yield Excess(name, counted, limit)
    for first, last, function in _rust_functions(lines) if is_rust else _python_functions(lines):
        if last - first + 1 > FUNCTION and not _has_reason(lines, first):
            yield Excess(f"{name}:{first + 1} {function}", last - first + 1, FUNCTION)


def _is_test(name: str) -> bool:
    return "tests" in Path(name).parts or Path(name).stem == "tests"


def _before_tests(lines: list[str]) -> int:
    found = (number for number, line in enumerate(lines) if line == "#[cfg(test)]")
    return next(found, len(lines))


def _has_reason(lines: list[str], first: int) -> bool:
    number = first - 1
    while number >= 0 and ABOVE.match(lines[number]):
        if REASON.search(lines[number]):
            return True
        number -= 1
    return False


def _rust_functions(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """First line, last line and name of each function; rustfmt puts the closing brace below the first letter."""
    for first, line in enumerate(lines):
        match = RUST_FUNCTION.match(line)
        if match is None:
            continue
        indent = match[1]
        for last in range(first, len(lines)):
            is_outside = lines[last].startswith(indent) and not lines[last].startswith(f"{indent} ")
            if is_outside and lines[last].endswith((";", "}")):
                yield first, last, match[2]
                break


def _python_functions(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno - 1, (node.end_lineno or node.lineno) - 1, node.name


def _sources(root: Path) -> list[str]:
    """The files of Rust and Python: those that git knows, in an unpacked sdist those of its folders."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs", "*.py"]
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        return listed.stdout.split()
    paths = (path.relative_to(root) for kind in ("rs", "py") for path in root.rglob(f"*.{kind}"))
    return sorted(str(path) for path in paths if not any(part in MADE or part[0] == "." for part in path.parts))


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    found = [excess for name in _sources(root) if (root / name).exists() for excess in excesses(root / name, name)]
    for excess in found:
        print(excess)
    return 1 if found else 0


# Folders of what commands make.
MADE = ("target", "dist")

if __name__ == "__main__":
    sys.exit(main())
