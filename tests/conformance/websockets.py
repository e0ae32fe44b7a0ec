"""Runs the fuzzing client of the Autobahn test suite against an ASGI and an RSGI echo, and writes what came of it to
docs/conformance/websocket.md.

`wstest`, a program of Python 2.7, is looked for on the PATH and in .tools/autobahn. Where that Python is
at hand (pyenv), it is installed there. Arguments are patterns of cases to run, such as '1.*'; without any all are run,
group by group, for half an hour, and the report is written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "conformance" / "websocket.md"
TOOLS = ROOT / ".tools" / "autobahn"
SUITE = "autobahntestsuite==25.10.1"
VIRTUALENV = "virtualenv<20.16"
"""Later ones make no environments of Python 2.7."""
LIMIT = 60 * 60
"""Seconds for a pattern of cases: the suite writes no result before its last case."""
INTERFACES = ("asgi", "rsgi")
GOOD = ("OK", "INFORMATIONAL")
GROUPS = {
    1: "Framing",
    2: "Pings and pongs",
    3: "Reserved bits",
    4: "Opcodes",
    5: "Fragmentation",
    6: "UTF-8",
    7: "Close handling",
    9: "Limits and performance",
    10: "Miscellaneous",
    12: "permessage-deflate",
    13: "permessage-deflate parameters",
}

Outcomes = dict[str, dict[str, str]]
"""The suite's result of each case, with `behavior` and `behaviorClose`."""


def main(cases: list[str]) -> int:
    program = wstest()
    if program is None:
        print(f"no wstest on the PATH and no Python 2.7 to install {SUITE} for: see pyenv", file=sys.stderr)
        return 2
    patterns = cases or [f"{group}.*" for group in GROUPS]
    outcomes: dict[str, Outcomes] = {interface: {} for interface in INTERFACES}
    for interface in INTERFACES:
        for pattern in patterns:
            outcomes[interface] |= (found := run(program, interface, pattern))
            print(f"{interface} {pattern}: {summary(found)}", flush=True)
    failures = [line for interface, found in outcomes.items() for line in failed(interface, found)]
    if not cases:
        REPORT.write_text(report(outcomes, failures))
        print(REPORT.relative_to(ROOT))
    for interface, found in outcomes.items():
        print(f"{interface}: {summary(found)}")
    print(*failures, sep="\n", end="")
    return 1 if failures or not all(outcomes.values()) else 0


def wstest() -> str | None:
    """The suite's program, installed if need be and possible."""
    found = shutil.which("wstest") or shutil.which("wstest", path=str(TOOLS / "bin"))
    if found:
        return found
    candidates = [*sorted(map(str, pyenv_root().glob("versions/2.7.*/bin/python2.7"))), shutil.which("python2.7")]
    python = next(filter(None, candidates), None)
    if python is None:
        return None
    print(f"installing {SUITE} into {TOOLS.relative_to(ROOT)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "pip", "install", "-q", "--target", folder, VIRTUALENV], check=True)
        environment = {**os.environ, "PYTHONPATH": folder}
        subprocess.run([python, "-m", "virtualenv", "-q", "--no-download", str(TOOLS)], env=environment, check=True)
    subprocess.run([str(TOOLS / "bin" / "pip"), "install", "-q", SUITE], check=True)
    return shutil.which("wstest", path=str(TOOLS / "bin"))


def pyenv_root() -> Path:
    return Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))


def run(program: str, interface: str, pattern: str) -> Outcomes:
    """One run of the suite's cases of that pattern, against a server of its own."""
    with tempfile.TemporaryDirectory() as folder, serving(interface) as port:
        spec = {
            "outdir": folder,
            "servers": [{"agent": "server", "url": f"ws://127.0.0.1:{port}", "options": {"version": 18}}],
            "cases": [pattern],
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        path = Path(folder) / "spec.json"
        path.write_text(json.dumps(spec))
        command = [program, "-m", "fuzzingclient", "-s", str(path)]
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=LIMIT, check=True, cwd=folder)
        outcomes: Outcomes = json.loads((Path(folder) / "index.json").read_text())["server"]
        return outcomes


@contextmanager
def serving(interface: str) -> Iterator[str]:
    """A running server's port."""
    command = [sys.executable, "-m", "granian", "--interface", interface, "--port", "0"]
    target = f"tests.conformance.echo:{interface}"
    server = subprocess.Popen([*command, target], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert server.stdout is not None
    port = ""
    try:
        for line in server.stdout:
            port = found[1] if (found := re.search(r"Listening at: \S+:(\d+)", line)) else port
            if "Started worker-1" in line:
                break
        yield port
    finally:
        server.terminate()
        server.communicate()


def summary(outcomes: Outcomes) -> str:
    return f"{len(outcomes)} cases, {dict(Counter(case['behavior'] for case in outcomes.values()))}"


def failed(interface: str, outcomes: Outcomes) -> list[str]:
    return [
        f"{interface} {name}: {case['behavior']}, close {case['behaviorClose']}"
        for name, case in sorted(outcomes.items(), key=lambda item: [int(part) for part in item[0].split(".")])
        if case["behavior"] not in GOOD or case["behaviorClose"] not in GOOD
    ]


def report(outcomes: dict[str, Outcomes], failures: list[str]) -> str:
    rows = []
    for number, title in GROUPS.items():
        figures = [counts(number, outcomes[interface]) for interface in INTERFACES]
        rows.append(f"| {number} {title} | {' | '.join(figures)} |")
    table = "\n".join(rows)
    faults = "\n".join(f"- {failure}" for failure in failures) or "No case is non-strict, failed or unimplemented."
    return f"""# Websocket conformance

`make conformance-websockets` runs the fuzzing client of the Autobahn test suite (`{SUITE}`, RFC 6455 and RFC 7692)
against echoes (`tests/conformance/echo.py`) over HTTP/1.1 with the default options:

| group | ASGI cases | OK | informational | other | RSGI cases | OK | informational | other |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{table}

{faults}
"""


def counts(group: int, outcomes: Outcomes) -> str:
    found = [case for name, case in outcomes.items() if name.startswith(f"{group}.")]
    bad = sum(case["behavior"] not in GOOD or case["behaviorClose"] not in GOOD for case in found)
    informational = sum("INFORMATIONAL" in (case["behavior"], case["behaviorClose"]) for case in found)
    return f"{len(found)} | {len(found) - bad - informational} | {informational} | {bad}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
