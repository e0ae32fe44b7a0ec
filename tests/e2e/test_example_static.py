"""`examples/static`, started as its README says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "static"


def test_the_example(server):
    command = re.search(r"^granian (.*?) main:app$", (EXAMPLE / "README.md").read_text(), re.M | re.S)
    assert command is not None
    app = server("main:app", "asginl", *shlex.split(command[1].replace("\\\n", "")), cwd=EXAMPLE, fresh=True)
    page = (EXAMPLE / "public" / "index.html").read_bytes()
    assert app.get("/").body == page
    route = app.get("/some/route", "Accept: text/html")
    assert (route.body, route.header("cache-control")) == (page, "no-cache")
    assert app.get("/api", "Accept: application/json").body == b'{"hello": "world"}'
    for name in re.findall(r'"(/assets/[^"]+)"', page.decode()):
        answer = app.get(name)
        assert (answer.status, answer.header("cache-control")) == (200, "public, max-age=31536000, immutable")
