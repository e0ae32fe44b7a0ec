"""`docs/guides`, run as they stand there: their files, their commands, and what a client then gets."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .server import Server
from .websocket import open_websocket

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
STEP = re.compile(r"^<!-- (file|append|run)[:,] ([^\n]*) -->\n```(?:python)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FREE = re.compile(r"^```\n(django-admin.*?|python .*?|pip .*?)^```$", re.MULTILINE | re.DOTALL)


class Guide:
    """A guide that is followed in a folder."""

    def __init__(self, name: str, folder: Path, server: ServerFactory) -> None:
        self.text = (GUIDES / f"{name}.md").read_text()
        self.folder = folder
        self.server = server

    def follow(self) -> tuple[str, Server]:
        """All steps in their order; gives what the command is marked with, and the server."""
        steps = sorted([*STEP.finditer(self.text), *FREE.finditer(self.text)], key=lambda found: found.start())
        for step in steps:
            if step.re is FREE:
                self._type(step[1])
            elif step[1] == "run":
                return step[2], self._start(step[3])
            else:
                path = self.folder / step[2]
                before = path.read_text() if step[1] == "append" else ""
                path.write_text(before + step[3])
        raise AssertionError("the guide starts no server")

    def _type(self, lines: str) -> None:
        for line in lines.splitlines():
            words = shlex.split(line)
            if words[0] == "django-admin":
                words = ["python", "-m", "django", *words[1:]]
            if words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], cwd=self.folder, check=True, capture_output=True)

    def _start(self, line: str) -> Server:
        program, *options, target = shlex.split(line)
        assert program == "granian"
        return self.server(target, None, *options, fresh=True, cwd=self.folder)


@pytest.mark.parametrize("name", ["fastapi", "litestar", "flask", "django"])
def test_a_guide_leads_to_an_answer(name: str, server: ServerFactory, tmp_path: Path) -> None:
    pytest.importorskip(name)
    mark, running = Guide(name, tmp_path, server).follow()
    target, expected = re.fullmatch(r"GET (\S+): (.*)", mark).groups()
    response = running.get(target)
    assert response.status == 200
    assert expected in response.text


def test_the_guide_of_channels_leads_to_a_websocket(server: ServerFactory, tmp_path: Path) -> None:
    pytest.importorskip("channels")
    mark, running = Guide("channels", tmp_path, server).follow()
    with open_websocket(running, mark.removeprefix("websocket "), "Origin: http://localhost") as websocket:
        websocket.send("hello")
        assert websocket.message() == "hello"


def test_every_guide_is_followed() -> None:
    assert {path.stem for path in GUIDES.glob("*.md")} == {"fastapi", "litestar", "flask", "django", "channels"}
