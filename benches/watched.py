"""`python -m benches.watched`: what `--metrics` and `--access-log` cost a request.

A server with both, lines to a file, and one without either are started together and take turns. The figure is CPU per
request of the whole process tree with them over that without, the median over pairs of turns; it must be at most 1.10.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benches import environments
from benches.load import Sample, run_interval
from benches.peers import OURS, PEERS, Launch
from benches.process import ServerFailed, ServerProcess, free_port
from benches.workloads import WORKLOADS, Workload

ROWS = ("wsgi-hello", "asgi-hello", "rsgi-hello")
MUST = 1.10
PARTS = ("both", "metrics", "log")
HEAD = "| row | with | CPU µs without | CPU µs with | with over without | must |\n| --- | --- | --- | --- | --- | --- |"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    print(HEAD, flush=True)
    exceeded = []
    for row in arguments.row:
        [workload] = [each for each in WORKLOADS if each.name == row]
        for part in arguments.part:
            try:
                ratio = _measure(arguments, workload, part)
            except (OSError, ServerFailed) as error:
                print(f"{row}, {part} void: {error}", file=sys.stderr, flush=True)
                ratio = float("inf")
            if ratio > MUST:
                exceeded.append(f"{row}, {part}")
    if exceeded:
        print(f"more than {MUST:g}: {'; '.join(exceeded)}", file=sys.stderr)
    return 1 if exceeded else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.watched", description=__doc__)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--row", nargs="+", choices=names, default=list(ROWS), metavar="ROW", help="hello rows")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=["both"], help="metrics, log, or both (both)")
    parser.add_argument("--pairs", type=int, default=8, help="turns of each server (8)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn (2)")
    parser.add_argument("--ours-env", type=Path, help="an environment that has this checkout; default: build one")
    return parser.parse_args(argv)


def _measure(arguments: argparse.Namespace, workload: Workload, part: str) -> float:
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = []
        for options in (_watching(part, folder), ()):
            server = stack.enter_context(_start(arguments, workload, options))
            server.wait_ready(workload)
            server.pause()
            servers.append(server)
        for number in range(arguments.pairs + 1):
            for which in (0, 1) if number % 2 else (1, 0):
                servers[which].resume()
                # The first round is the warm-up.
                sample = run_interval(servers[which], workload, arguments.seconds if number else 1)
                servers[which].pause()
                if number:
                    samples[which].append(sample)
    ratios = [a.cpu_us / b.cpu_us for a, b in zip(*samples, strict=True)]
    ratio = median(ratios)
    beside, alone = (median(sample.cpu_us for sample in each) for each in samples)
    spread = f"{ratio:.3f} ({min(ratios):.2f}–{max(ratios):.2f})"
    print(f"| {workload.name} | {part} | {alone:.2f} | {beside:.2f} | {spread} | ≤ {MUST:g} |", flush=True)
    return ratio


def _watching(part: str, folder: Path) -> tuple[str, ...]:
    metrics = ("--metrics", "--metrics-port", str(free_port()))
    log = ("--access-log", "--access-log-file", str(folder / "access.log"))
    return {"both": (*metrics, *log), "metrics": metrics, "log": log}[part]


def _start(arguments: argparse.Namespace, workload: Workload, options: tuple[str, ...]) -> ServerProcess:
    [peer] = [peer for peer in PEERS if peer.name == OURS]
    if arguments.ours_env:
        folder = arguments.ours_env.absolute() / "bin"
    else:
        folder = environments.prepare(peer, environments.find_python())
    port = free_port()
    launch = Launch(folder, workload.interface, workload.target, port, options)
    # `--no-log` would be without an access log, too.
    command = [each for each in peer.command(launch) if each != "--no-log" or "--access-log" not in options]
    return ServerProcess(command, port)


if __name__ == "__main__":
    sys.exit(main())
