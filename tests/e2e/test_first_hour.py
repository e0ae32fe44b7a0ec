"""Mistakes of the first hour: each row of `docs/first-hour.md` gets the line that stands there."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import COMMAND

PAGE = Path(__file__).parents[2] / "docs" / "first-hour.md"
ROWS = re.findall(r"^\| `([^`]+)`[^|]*\| `([^`]+)`[^|]*\|$", PAGE.read_text(), re.M)
FILES = {
    "main.py": "async def app(scope, receive, send): ...\ndef create_app(): return app\nsettings = {}\n",
    "wsgi.py": "def application(environ, start_response): ...\n",
    "broken.py": "import package_that_is_missing\n",
    "typo.toml": "wokers = 4\n",
    "cert.pem": "",
}
PYTHON = "from granian import Granian; from main import app; "


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, str, str]]]:
    """Exit code, output and expected line of each row; all run at the same time."""
    folder = tmp_path_factory.mktemp("first")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    own = {name: value for name, value in os.environ.items() if not name.startswith("GRANIAN_")}
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        running = {}
        for typed, line in ROWS:
            if " --port 8000" in typed:
                line = line.replace("8000", port)
            command, env = command_of(typed.replace("--port 8000", f"--port {port}"), line)
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**own, "GRANIAN_PORT": "0", **env},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            running[typed] = process, line
        yield {typed: (*ended(process), line) for typed, (process, line) in running.items()}


def command_of(typed: str, line: str) -> tuple[list[str], dict[str, str]]:
    if typed.startswith("Granian("):
        return [sys.executable, "-c", PYTHON + typed], {}
    words = shlex.split(typed)
    env = dict([words.pop(0).split("=")]) if "=" in words[0] else {}
    # A warning does not end the server.
    more = ["--check-config"] if "[WARNING]" in line else []
    return [*COMMAND, *words[1:], *more], env


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    return process.returncode, re.sub(r"^\[[\d-]+ [^\]]*\] \[\d+\] ", "", output, flags=re.M)


@pytest.mark.parametrize("typed", [typed for typed, _ in ROWS])
def test_answer(outcomes, typed):
    if "rloop" in typed and importlib.util.find_spec("rloop"):
        pytest.skip("rloop is installed")
    code, output, line = outcomes[typed]
    assert code in ((0,) if "[WARNING]" in line else (1, 2)), output
    pattern = ".*".join(map(re.escape, line.split("…")))
    assert re.search(f"^{pattern}$", output, re.M), output
    if not typed.startswith("Granian(") and "ModuleNotFoundError" not in line:
        faults = [text for text in output.splitlines() if text and "[INFO]" not in text and "is valid" not in text]
        assert len(faults) == 1, output


def test_rows():
    assert len(ROWS) >= 20
