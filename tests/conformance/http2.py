"""Runs h2spec, strictly, over h2c and over TLS, and writes what came of it to docs/conformance/http2.md.

h2spec is looked for on the PATH and in .tools/bin; it is a Go program: github.com/summerwind/h2spec, cmd/h2spec.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "conformance" / "http2.md"
SECONDS_PER_CASE = "3"

Counts = dict[str, list[int]]
"""Passed, failed and skipped cases by group."""


def main() -> int:
    program = shutil.which("h2spec") or shutil.which("h2spec", path=str(ROOT / ".tools" / "bin"))
    if program is None:
        print("no h2spec on the PATH or in .tools/bin: build it from github.com/summerwind/h2spec", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        plain, plain_failures = run(program, Path(folder), tls=False)
        secure, secure_failures = run(program, Path(folder), tls=True)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = (said.split() or ["?", "?"])[1]
    REPORT.write_text(report(version, plain, secure, plain_failures + secure_failures))
    print(REPORT.relative_to(ROOT), *plain_failures, *secure_failures, sep="\n")
    return 1 if plain_failures or secure_failures else 0


def run(program: str, folder: Path, *, tls: bool) -> tuple[Counts, list[str]]:
    """One run of the suite, against a server of its own."""
    result = folder / "result.xml"
    result.unlink(missing_ok=True)
    with serving(folder, tls=tls) as port:
        command = [program, "-h", "127.0.0.1", "-p", port, "-o", SECONDS_PER_CASE, "--strict", "-j", str(result)]
        subprocess.run([*command, *(["-t", "-k"] if tls else [])], stdout=subprocess.DEVNULL, check=False)
    counts: Counts = defaultdict(lambda: [0, 0, 0])
    failures = []
    for case in ElementTree.parse(result).iter("testcase"):
        group = case.get("package", "").split("/")[0]
        outcome = 1 if any(case.find(sign) is not None for sign in ("failure", "error")) else 0
        outcome = 2 if case.find("skipped") is not None else outcome
        counts[group][outcome] += 1
        if outcome == 1:
            failures.append(f"{'TLS' if tls else 'h2c'}: {case.get('package')}: {case.get('classname')}")
    return counts, failures


@contextmanager
def serving(folder: Path, *, tls: bool) -> Iterator[str]:
    """A running server's port."""
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--http", "2", "--port", "0"]
    if tls:
        command += ["--ssl-certificate", certificate(folder), "--ssl-keyfile", str(folder / "key.pem")]
    place = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    server = subprocess.Popen([*command, "tests.conformance.app:app"], **place)  # type: ignore[call-overload]
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


def certificate(folder: Path) -> str:
    path = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=localhost", "-days", "2", "-keyout", str(folder / "key.pem"), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return str(path)


def report(version: str, plain: Counts, secure: Counts, failures: list[str]) -> str:
    names = {"generic": "Generic", "http2": "HTTP/2 (RFC 9113)", "hpack": "HPACK (RFC 7541)"}
    rows = []
    for group in plain:
        figures = [f"{sum(counts[group])} | {counts[group][0]} | {counts[group][1]}" for counts in (plain, secure)]
        rows.append(f"| {names.get(group, group)} | {' | '.join(figures)} |")
    faults = "\n".join(f"- {failure}" for failure in failures) or "No case failed."
    table = "\n".join(rows)
    return f"""# HTTP/2 conformance

`make conformance` runs h2spec {version} in strict mode against an ASGI application that reads its request
and then answers (`tests/conformance/app.py`), on a server with `--http 2`:

| group | h2c cases | passed | failed | TLS cases | passed | failed |
| --- | --- | --- | --- | --- | --- | --- |
{table}

{faults}

Two cases depend on what is served, and this is why the server and the application are as they are:

- http2/3.5, *Sends invalid connection preface*: with `--http auto`, bytes that are no preface are read as HTTP/1.1.
  What is malformed as such is answered with an HTTP/1.1 `400`, which the suite can't read as frames.
- http2/6.9.1, *WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream*: an application
  that answers without having read its request may have ended its side of the stream before the frames arrive. Then
  there is no window any more that could overflow.
"""


if __name__ == "__main__":
    sys.exit(main())
