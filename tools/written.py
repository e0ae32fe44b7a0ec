"""`keep()`: a file that a tool of this folder writes; with `--check` it is only compared."""

from __future__ import annotations

import sys
from pathlib import Path


def keep(file: Path, text: str) -> int:
    """The exit code: 1 if `--check` finds another text in the file."""
    if "--check" not in sys.argv:
        file.write_text(text)
        return 0
    if file.read_text() == text:
        return 0
    tool = Path(sys.argv[0]).stem
    print(f"{file.name} is not up to date: run `python -m tools.{tool}`", file=sys.stderr)
    return 1
