"""The examples of the README, run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from .conftest import ServerFactory

README = Path(__file__).parents[2] / "README.md"
EXAMPLE = re.compile(r"^<!-- example: ([^\n]*) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (dict(pair.split("=", 1) for pair in shlex.split(marks)), code)
    for marks, code in EXAMPLE.findall(README.read_text())
]


@pytest.mark.parametrize(("marks", "code"), EXAMPLES, ids=[marks["expect"] for marks, _ in EXAMPLES])
@pytest.mark.parametrize("named", [True, False], ids=["named", "auto"])
def test_example_answers(server: ServerFactory, tmp_path: Path, marks: dict[str, str], code: str, named: bool) -> None:
    (tmp_path / "example.py").write_text(code)
    interface = marks["interface"] if named else None
    running = server(f"example:{marks['target']}", interface, fresh=True, cwd=tmp_path)
    response = running.get("/")
    assert (response.status, response.text) == (200, marks["expect"])


def test_every_application_is_marked() -> None:
    """A python block that is an application has its mark, so that it cannot go stale unseen."""
    blocks = re.findall(r"^```python$", README.read_text(), re.MULTILINE)
    assert len(EXAMPLES) == len(blocks) - 1, "all but the one that starts the server from Python"
