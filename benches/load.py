"""One interval of load on one server, and what it says: requests answered, CPU used, the latency's tail."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benches.process import LOAD_CORE, ServerFailed, ServerProcess, pinned
from benches.workloads import Workload

CONNECTIONS = 64
_SCRIPT = Path(__file__).resolve().parent / "wrk.lua"


@dataclass(frozen=True)
class Sample:
    """The outcome of one interval."""

    cpu_us: float
    """Server CPU microseconds per answered request."""
    rate: float
    """Requests answered per second."""
    p99_ms: float
    requests: int

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def run_interval(server: ServerProcess, workload: Workload, seconds: int, connections: int = CONNECTIONS) -> Sample:
    """Load the server for `seconds`; a wrong status, a lost connection or a short body voids the interval."""
    server.verify(workload)
    before = server.cpu_seconds()
    match workload.load:
        case "wrk":
            summary = _run_wrk(server.port, workload, seconds, connections)
        case "transfer":
            summary = _run_curl(server.port, workload, seconds)
        case _:
            summary = _run_handshakes(server.port, workload, seconds)
    used = server.cpu_seconds() - before
    server.verify(workload)
    requests = summary["requests"]
    if not requests:
        raise ServerFailed("answered nothing")
    if summary["errors"] or summary["bad_status"]:
        raise ServerFailed(f"{summary['errors']} broken connections, {summary['bad_status']} wrong statuses")
    if summary["bytes"] < requests * len(workload.expect):
        raise ServerFailed("bodies came short")
    rate = requests / (summary["duration_us"] / 1e6)
    return Sample(used / requests * 1e6, rate, summary["p99_us"] / 1e3, requests)


def _run_wrk(port: int, workload: Workload, seconds: int, connections: int) -> dict[str, int]:
    url = _url(port, workload)
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-s", str(_SCRIPT), url]
    environment = {**os.environ, "BENCH_METHOD": workload.method, "BENCH_BODY": str(workload.upload)}
    return _summary_of(command, environment, seconds)


def _run_handshakes(port: int, workload: Workload, seconds: int) -> dict[str, int]:
    command = [sys.executable, str(_SCRIPT.with_name("handshakes.py")), str(port), str(seconds), workload.load]
    return _summary_of(command, dict(os.environ), seconds)


def _run_curl(port: int, workload: Workload, seconds: int) -> dict[str, int]:
    """Transfers one after the other, each on a connection of its own, for so long at least."""
    command = ["curl", "-sk", "--http2", "-o", os.devnull, "-w", "%{http_code} %{http_version} %{size_download}"]
    if workload.upload:
        command += ["-X", "POST", "-H", "expect:", "-H", "content-type:", "--data-binary", "@-"]
    transfers, received, wrong, longest = 0, 0, 0, 0.0
    start = time.monotonic()
    while (begin := time.monotonic()) - start < seconds:
        done = subprocess.run(
            pinned(LOAD_CORE, [*command, _url(port, workload)]),
            input=b"x" * workload.upload,
            capture_output=True,
            timeout=60,
            check=False,
        )
        status, version, size = done.stdout.decode().split()
        wrong += (status, version) != ("200", "2")
        received += int(size)
        transfers += 1
        longest = max(longest, time.monotonic() - begin)
    spent = time.monotonic() - start
    return {
        "requests": transfers,
        "duration_us": int(spent * 1e6),
        "p99_us": int(longest * 1e6),
        "bytes": received,
        "errors": 0,
        "bad_status": wrong,
    }


def _url(port: int, workload: Workload) -> str:
    return f"{'https' if workload.secure else 'http'}://127.0.0.1:{port}{workload.path}"


def _summary_of(command: list[str], environment: dict[str, str], seconds: int) -> dict[str, int]:
    done = subprocess.run(
        pinned(LOAD_CORE, command), env=environment, capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("SUMMARY "):
            summary: dict[str, int] = json.loads(line.removeprefix("SUMMARY "))
            return summary
    raise ServerFailed(f"the load failed: {(done.stderr or done.stdout).strip()[-200:]}")
