"""The command: which servers, which workloads, how long; then environments, race, memory, report."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benches import crowd, environments, memory
from benches.database import Database
from benches.environments import ROOT, Unavailable
from benches.peers import OURS, PEERS, REFERENCE, Peer
from benches.report import Report
from benches.results import Crowd, Memory, Row
from benches.rounds import Race
from benches.workloads import WORKLOADS, Workload

_QUICK = (1, 2)
_LIBRARIES = ("fastapi", "starlette", "pydantic", "flask", "django", "psycopg", "asyncpg", "uvloop")
_MEMORY_PEERS = (OURS, REFERENCE, "uvicorn", "fastpysgi")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    if missing := [tool for tool in ("wrk", "taskset") if not shutil.which(tool)]:
        print(f"the benchmark needs {' and '.join(missing)} (Debian: apt install wrk util-linux)", file=sys.stderr)
        return 1
    python = arguments.python or environments.find_python()
    peers = _available(_chosen_peers(arguments.only), python, arguments.ours_env)
    if not peers:
        return 1
    versions = {peer.name: environments.version_of(peer, bin) for peer, bin in peers.items()}
    rows = _race(peers, arguments) if not arguments.no_race else []
    found = _memory(peers, arguments.interface) if not arguments.no_memory else []
    crowds = _crowds(peers) if not arguments.no_memory else []
    report = Report(_machine(_interpreted(peers), arguments), versions, rows, found, crowds)
    if arguments.update:
        report = report.over(Report.read(arguments.output / "results.json"))
    report.write(arguments.output)
    if report.rows:
        _plot(arguments.output / "results.json", python)
    print(report.as_markdown())
    print(f"written to {os.path.relpath(arguments.output)}")
    verdicts = [row.verdict() for row in rows]
    verdicts += [entry.verdict() for entry in found] + [entry.verdict() for entry in crowds]
    return 1 if any("fail" in verdict for verdict in verdicts) else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--only", type=_names, default=[], metavar="SERVER,...", help="servers (default: all)")
    parser.add_argument(
        "--workload", type=_names, default=[], metavar="NAME,...", help="workloads, or their beginnings"
    )
    parser.add_argument("--quick", action="store_true", help="1 round of 2 seconds, no memory part")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a turn (3)")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory part out")
    parser.add_argument("--no-race", action="store_true", help="the memory part only")
    parser.add_argument("--interface", type=_names, default=["asgi"], help="interfaces of the memory part (asgi)")
    parser.add_argument("--python", help="interpreter of the environments (default: CPython 3.13 when there is one)")
    parser.add_argument("--ours-env", type=Path, help="an environment that has this checkout; default: build one")
    parser.add_argument("--update", action="store_true", help="keep what the output has and this run does not measure")
    parser.add_argument("--output", type=Path, help="directory (docs/benchmarks; .build/benchmarks for partial runs)")
    arguments = parser.parse_args(argv)
    if arguments.quick:
        arguments.rounds, arguments.seconds = _QUICK
        arguments.no_memory = not arguments.no_race
    partial = arguments.quick or arguments.only or arguments.workload or arguments.no_race or arguments.no_memory
    kept = arguments.update or not partial
    arguments.output = arguments.output or ROOT / ("docs/benchmarks" if kept else ".build/benchmarks")
    return arguments


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _chosen_peers(only: list[str]) -> list[Peer]:
    known = {peer.name: peer for peer in PEERS}
    if unknown := set(only) - set(known):
        raise SystemExit(f"no such server: {', '.join(sorted(unknown))} (there are: {', '.join(known)})")
    return [peer for peer in PEERS if not only or peer.name in only]


def _chosen_workloads(prefixes: list[str]) -> list[Workload]:
    return [row for row in WORKLOADS if not prefixes or any(row.name.startswith(prefix) for prefix in prefixes)]


def _available(peers: list[Peer], python: str, ours_env: Path | None) -> dict[Peer, Path]:
    found: dict[Peer, Path] = {}
    for peer in peers:
        try:
            built = ours_env.absolute() / "bin" if ours_env and peer.name == OURS else None
            found[peer] = built or environments.prepare(peer, python)
        except (OSError, Unavailable) as error:
            print(f"{peer.name} left out: {error} {peer.needs}".strip(), flush=True)
    return found


def _race(peers: dict[Peer, Path], arguments: argparse.Namespace) -> list[Row]:
    workloads = _chosen_workloads(arguments.workload)
    rows = []
    with ExitStack() as stack:
        race = Race(peers, arguments.rounds, arguments.seconds)
        if any(workload.database for workload in workloads):
            try:
                race = replace(race, environment=stack.enter_context(Database()).environment)
            except (OSError, Unavailable) as error:
                print(f"rows with a query left out: {error}", flush=True)
                workloads = [workload for workload in workloads if not workload.database]
        for workload in workloads:
            print(f"{workload.name} ...", flush=True)
            row = race.run(workload)
            judged = [cell for cell in map(row.judged, (peer.name for peer in peers)) if cell]
            print("  " + "  ".join(f"{cell.peer} {cell.cpu_us:.1f}" for cell in judged), flush=True)
            rows.append(row)
    return rows


def _memory(peers: dict[Peer, Path], interfaces: list[str]) -> list[Memory]:
    memory.raise_descriptor_limit()
    found = []
    for peer, directory in peers.items():
        for interface in interfaces:
            if peer.name in _MEMORY_PEERS and interface in peer.settings:
                print(f"memory of {peer.name} ({interface}) ...", flush=True)
                found.append(memory.measure(peer, directory, interface))
    return found


def _crowds(peers: dict[Peer, Path]) -> list[Crowd]:
    memory.raise_descriptor_limit()
    found = []
    for peer, directory in peers.items():
        if "asgi websocket" in peer.settings:
            print(f"idle websockets of {peer.name} ...", flush=True)
            found.append(crowd.measure(peer, directory))
    return found


def _plot(results: Path, python: str) -> None:
    try:
        environment = environments.make_environment("plot", ("matplotlib",), python)
    except Unavailable as error:
        print(f"no plot: {error}")
        return
    script = Path(__file__).resolve().parent / "plot.py"
    subprocess.run([str(environment / "bin" / "python"), str(script), str(results)], check=False)


def _interpreted(peers: dict[Peer, Path]) -> Path:
    """The environment of a server that Python runs, if there is one."""
    return next((bin for peer, bin in peers.items() if not peer.program), Path(sys.executable).parent)


def _machine(bin_directory: Path, arguments: argparse.Namespace) -> dict[str, str]:
    version = subprocess.run([str(bin_directory / "python"), "--version"], capture_output=True, text=True, check=False)
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "machine": f"{model[0].partition(':')[2].strip() if model else platform.machine()}, {os.cpu_count()} cores",
        "system": platform.platform(terse=True),
        "interpreter": version.stdout.strip(),
        # The cost of the application itself is in every server's figure.
        "libraries": ", ".join(f"{name} {environments.installed_version(bin_directory, name)}" for name in _LIBRARIES),
        "load": "64 keep-alive connections (256 in rows of that name), "
        f"{arguments.rounds} rounds of {arguments.seconds} s, one worker each",
        "load average": " ".join(f"{value:.1f}" for value in os.getloadavg()),
    }


if __name__ == "__main__":
    sys.exit(main())
