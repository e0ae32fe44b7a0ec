"""Plays the scenes one after another, in the environment of the applications, and writes the table."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import sys
import tempfile
import traceback
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from granian import __version__

from .scene import APPS, Scene, Visit
from .service import Service

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "applications.md"
SCENES = ["datasette", "gradio", "nicegui", "shiny", "socketio", "mcp", "dash", "radicale", "pypiserver", "wagtail"]
# What a stop or a replacement may take once nobody is connected any more, in seconds.
WITHIN = 3.0
# What nobody should find in the log.
SIGNS = re.compile(r"^\[(WARNING|ERROR|CRITICAL)\]|Traceback|Logging error|panicked")


PROSE = """# Real applications under this server

`make applications` installs applications from the package index by name into an environment under `.build/`, and
starts each under this server with default options. A visit uses the application through its own client or headless
Chromium. Then the worker is replaced (HUP), the visit is paid once more, and the server is stopped (TERM).

It is a failure if a visit sees anything else than it should, if the old worker or the server takes more than three
seconds to end, or if there is a warning, an error or a traceback in the log. The table shows the last run.

granian {server}, CPython {python}, {system}. *Start* is the time from the command until the worker is ready, most of it
the application's import. *Replaced* is the time that the old worker takes to end once the new one is ready, *stopped*
the time from TERM to the end.

| application | version | interface | visited with | seen, both times | start | replaced | stopped |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


@dataclass(frozen=True)
class Result:
    """One row of the table; seconds."""

    scene: Scene
    version: str
    start: float
    seen: str
    reload: float
    stop: float
    faults: list[str]


def main() -> int:
    """Gives 1 if something was not as it should be."""
    parser = argparse.ArgumentParser(prog="make applications", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"scenes, of {', '.join(SCENES)} (default: all, and the page)")
    names = parser.parse_args().names
    results = []
    for name in names or SCENES:
        print(f"{name} ...", end=" ", flush=True)
        scene = importlib.import_module(f".scenes.{name}", __package__).SCENE
        results.append(_play(scene))
        print(_verdict(results[-1]), flush=True)
    if not names:
        PAGE.write_text(_page(results))
        print(f"written to {PAGE.relative_to(ROOT)}")
    return int(any(result.faults for result in results))


def _play(scene: Scene) -> Result:
    faults: list[str] = []
    found = version(scene.package)
    with tempfile.TemporaryDirectory(prefix="granian-") as name:
        folder = Path(name)
        paths = os.pathsep.join(map(str, (ROOT, APPS, folder)))
        # The first of them is what applications are imported from.
        scene.prepare(folder)
        try:
            service = Service(scene.target, folder, {**scene.environment, "PYTHONPATH": paths})
        except AssertionError as error:
            return Result(scene, found, 0, "", 0, 0, [str(error)])
        seen, reload, stop = "", 0.0, 0.0
        try:
            seen = scene.visit(Visit(service.url, folder, 1))
            reload = service.reload()
            again = scene.visit(Visit(service.url, folder, 2))
            if again != seen:
                faults.append(f"after the replacement: {again}")
            stop = service.stop()
        except Exception:
            faults.append(f"{traceback.format_exc()}\n{service.log()}")
        finally:
            service.kill()
        for what, took in (("replacement", reload), ("stop", stop)):
            if took > WITHIN:
                faults.append(f"the {what} took {took:.1f} s\n{service.log()}")
        faults += [line for line in service.log().splitlines() if SIGNS.search(line)]
        return Result(scene, found, service.start_seconds, seen, reload, stop, faults)


def _verdict(result: Result) -> str:
    if result.faults:
        return "\n".join(["FAILED", *result.faults])
    return f"start {result.start:.1f} s, reload {result.reload:.2f} s, stop {result.stop:.2f} s: {result.seen}"


def _page(results: list[Result]) -> str:
    lines = [PROSE.format(server=__version__, python=platform.python_version(), system=platform.system())]
    for result in results:
        seen = "**failed**" if result.faults else result.seen
        numbers = f"{result.start:.1f} s | {result.reload:.2f} s | {result.stop:.2f} s"
        facts = f"{result.scene.name} | {result.version} | {result.scene.interface} | {result.scene.done}"
        lines.append(f"| {facts} | {seen} | {numbers} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
