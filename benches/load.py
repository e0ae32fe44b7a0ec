"""One interval of load on one server, and what it says: requests answered, CPU used, the latency's tail."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benches.process import LOAD_CORE, ServerFailed, ServerProcess, pinned
from benches.workloads import Workload

# Percentiles, in thousandths of all requests.
_SHARES = {"50": 500, "99": 990, "999": 999}
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
    p50_ms: float = 0.0
    """Only wrk and h2load tell it, and the next one."""
    p999_ms: float = 0.0

    def as_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Target:
    """Where the load generator finds the server, and what it is started with."""

    port: int
    host: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()

    def command(self, command: list[str]) -> list[str]:
        """The generator's command on its core."""
        return [*self.prefix, *pinned(LOAD_CORE, command)]


def run_interval(server: ServerProcess, workload: Workload, seconds: int, target: Target | None = None) -> Sample:
    """Load the server for `seconds`; a wrong status, a lost connection or a short body voids the interval."""
    server.verify(workload)
    before = server.cpu_seconds()
    summary = _GENERATORS[workload.load](target or Target(server.port), workload, seconds)
    used = server.cpu_seconds() - before
    server.verify(workload)
    requests = summary["requests"]
    if not requests:
        raise ServerFailed("answered nothing")
    if summary["errors"] or summary["bad_status"]:
        raise ServerFailed(f"{summary['errors']} broken connections, {summary['bad_status']} wrong statuses")
    if summary["bytes"] < requests * workload.least_bytes:
        raise ServerFailed("bodies came short")
    rate = requests / (summary["duration_us"] / 1e6)
    p50, p99, p999 = (summary.get(key, 0) / 1e3 for key in ("p50_us", "p99_us", "p999_us"))
    return Sample(used / requests * 1e6, rate, p99, requests, p50, p999)


def _run_wrk(target: Target, workload: Workload, seconds: int) -> dict[str, int]:
    url = _url(target, workload)
    command = ["wrk", "-t", "1", "-c", str(workload.connections), "-d", f"{seconds}s", "-s", str(_SCRIPT), url]
    environment = {"BENCH_METHOD": workload.method, "BENCH_BODY": str(workload.upload), "BENCH_FIELD": workload.field}
    return _summary_of(target.command(command), seconds, environment)


def _run_websocket(target: Target, workload: Workload, seconds: int) -> dict[str, int]:
    command = [sys.executable, "-m", "benches.websocket", str(target.port), str(seconds), str(workload.connections)]
    return _summary_of(target.command(command), seconds, {"PYTHONPATH": str(_SCRIPT.parent.parent)})


def _run_handshakes(target: Target, workload: Workload, seconds: int) -> dict[str, int]:
    command = [sys.executable, str(_SCRIPT.with_name("handshakes.py")), str(target.port), str(seconds), workload.load]
    return _summary_of(target.command(command), seconds, {})


def _run_curl(target: Target, workload: Workload, seconds: int) -> dict[str, int]:
    """Transfers one after the other, each on a connection of its own, for so long at least."""
    command = ["curl", "-sk", "--http2", "-o", os.devnull, "-w", "%{http_code} %{http_version} %{size_download}"]
    if workload.upload:
        command += ["-X", "POST", "-H", "expect:", "-H", "content-type:", "--data-binary", "@-"]
    transfers, received, wrong, longest = 0, 0, 0, 0.0
    start = time.monotonic()
    while (begin := time.monotonic()) - start < seconds:
        done = subprocess.run(
            target.command([*command, _url(target, workload)]),
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


def _url(target: Target, workload: Workload) -> str:
    return f"{'https' if workload.secure else 'http'}://{target.host}:{target.port}{workload.path}"


def _summary_of(command: list[str], seconds: int, environment: Mapping[str, str]) -> dict[str, int]:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.startswith("SUMMARY "):
            summary: dict[str, int] = json.loads(line.removeprefix("SUMMARY "))
            return summary
    raise ServerFailed(f"the load failed: {(done.stderr or done.stdout).strip()[-200:]}")


def _run_h2load(target: Target, workload: Workload, seconds: int) -> dict[str, int]:
    """HTTP/2, by prior knowledge on plain sockets; the tail comes from the log, which has a line for each request."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests"
        command = ["h2load", "-t", "1", "-c", str(workload.connections), "-m", str(workload.streams)]
        command += ["-D", str(seconds), "--log-file", str(log), _url(target, workload)]
        done = subprocess.run(
            target.command(command), capture_output=True, text=True, timeout=seconds + 30, check=False
        )
        times = sorted(int(line.split()[2]) for line in log.read_text().splitlines()) if log.exists() else []
    requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    statuses = re.search(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    data = re.search(r"\((\d+)\) data", done.stdout)
    if requests is None or statuses is None or data is None:
        raise ServerFailed(f"h2load failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return {
        "requests": int(requests[1]),
        "errors": sum(map(int, requests.groups()[1:])),
        "bad_status": sum(map(int, statuses.groups()[1:])),
        "bytes": int(data[1]),
        "duration_us": seconds * 1_000_000,
        **{f"p{name}_us": times[len(times) * share // 1000] if times else 0 for name, share in _SHARES.items()},
    }


_GENERATORS = {
    "wrk": _run_wrk,
    "h2load": _run_h2load,
    "websocket": _run_websocket,
    "full": _run_handshakes,
    "resumed": _run_handshakes,
    "transfer": _run_curl,
}
