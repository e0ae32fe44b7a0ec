"""`python -m benches.greedy`: 50 polite clients with and without a greedy one beside them, and their tails.

Polite clients send a request when the last one has been answered. Turns without and with the greedy client
(`benches/greed.py`) follow each other; the ratio of the 99th percentiles is the median over such pairs. The server has
one core, all clients the other one, on which the greedy one is the last to get time.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benches import environments
from benches.greed import KINDS
from benches.handshakes import identity
from benches.load import Sample, run_interval
from benches.peers import OURS, PEERS, Launch
from benches.process import LOAD_CORE, ServerFailed, ServerProcess, free_port, pinned
from benches.workloads import HELLO, Goal, Workload

POLITE = 50
# The tail of the polite ones beside a greedy one, over theirs without it.
LIMIT = 5.0
HEAD = (
    "| interface | greedy client | p99 ms alone | p99 ms beside it | ratio | polite requests/s alone | beside it "
    "| what it sent, got, opened a second |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    print(HEAD, flush=True)
    exceeded = []
    for interface in arguments.interface:
        for kind in arguments.only:
            try:
                ratio = _measure(arguments, interface, kind)
            except (OSError, ServerFailed) as error:
                print(f"{interface}, {kind} void: {error}", file=sys.stderr, flush=True)
                ratio = LIMIT
            if ratio >= LIMIT:
                exceeded.append(f"{interface}, {kind}")
    if exceeded:
        print(f"not below {LIMIT:g}: {'; '.join(exceeded)}", file=sys.stderr)
    return 1 if exceeded else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.greedy", description=__doc__)
    names = ",".join(KINDS)
    parser.add_argument("--only", type=_names, default=list(KINDS), metavar="KIND,...", help=f"of {names}")
    parser.add_argument("--interface", type=_names, default=["asgi"], metavar="NAME,...", help="of asgi,rsgi,wsgi")
    parser.add_argument("--pairs", type=int, default=5, help="turns without and with (5)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn (2)")
    parser.add_argument("--ours-env", type=Path, help="an environment that has this checkout; default: build one")
    parser.add_argument("--server", default="", metavar="OPTIONS", help="further options of the server")
    arguments = parser.parse_args(argv)
    if unknown := [name for name in arguments.only if name not in KINDS]:
        parser.error(f"no such kind: {unknown[0]} (there are: {names})")
    return arguments


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _measure(arguments: argparse.Namespace, interface: str, kind: str) -> float:
    secure = KINDS[kind].secure
    target = f"greedy_app:{interface}"
    workload = Workload("polite", interface, target, HELLO, Goal(), connections=POLITE, secure=secure)
    alone, beside, greed = [], [], []
    with server_of(arguments, workload, KINDS[kind].options) as server:
        run_interval(server, workload, 1)
        for _ in range(arguments.pairs):
            alone.append(run_interval(server, workload, arguments.seconds))
            with greedy(kind, server.port, arguments.seconds + 0.5) as numbers:
                beside.append(run_interval(server, workload, arguments.seconds))
            greed.append(numbers)
    print(_line(f"{interface} | {kind}", (alone, beside), greed, arguments.seconds + 0.5), flush=True)
    return _ratio(alone, beside)


def _ratio(alone: list[Sample], beside: list[Sample]) -> float:
    return median(with_it.p99_ms / without.p99_ms for without, with_it in zip(alone, beside, strict=True))


@contextmanager
def server_of(arguments: argparse.Namespace, workload: Workload, options: tuple[str, ...]) -> Iterator[ServerProcess]:
    [peer] = [peer for peer in PEERS if peer.name == OURS]
    if arguments.ours_env:
        folder = arguments.ours_env.absolute() / "bin"
    else:
        folder = environments.prepare(peer, environments.find_python())
    settings = (*options, *arguments.server.split())
    if workload.secure and peer.tls is not None:
        settings = (*settings, *identity(peer.tls))
    port = free_port()
    launch = Launch(folder, workload.interface, workload.target, port, settings)
    with ServerProcess(peer.command(launch), port) as server:
        server.wait_ready(workload)
        yield server


@contextmanager
def greedy(kind: str, port: int, seconds: float) -> Iterator[dict[str, Any]]:
    """The greedy client at work; its numbers afterwards."""
    command = pinned(LOAD_CORE, [sys.executable, "-m", "benches.greed", kind, str(port), str(seconds)])
    numbers: dict[str, Any] = {}
    with subprocess.Popen(command, cwd=environments.ROOT, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        try:
            client.stdout.readline()
            yield numbers
        finally:
            try:
                rest, _ = client.communicate(timeout=seconds + 30)
            except subprocess.TimeoutExpired:
                client.kill()
                rest = ""
    if "SUMMARY " not in rest:
        raise ServerFailed("the greedy client failed")
    numbers.update(json.loads(rest.partition("SUMMARY ")[2]))


def _line(name: str, samples: tuple[list[Sample], list[Sample]], greed: list[dict[str, Any]], seconds: float) -> str:
    ratio = _ratio(*samples)
    tails = [f"{median(sample.p99_ms for sample in each):.2f}" for each in samples]
    rates = [f"{median(sample.rate for sample in each):,.0f}" for each in samples]
    sent, received, opened = (median(each[key] for each in greed) / seconds for key in ("sent", "received", "opened"))
    work = f"{sent / 1e6:.2f} MB, {received / 1e6:.2f} MB, {opened:,.0f}"
    return "| " + " | ".join([name, *tails, f"{ratio:.1f}", *rates, work]) + " |"


if __name__ == "__main__":
    sys.exit(main())
