"""`python -m benches.mechanisms`: what each mechanism that saves work is worth.

All variants of a comparison are started, and take turns. Ratios are medians over pairs of turns, so that what disturbs
the machine disturbs both.
"""

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benches import environments
from benches.handshakes import identity
from benches.load import Sample, Target, run_interval
from benches.peers import OURS, PEERS, REFERENCE, Launch
from benches.places import PLACES, Unsupported, place, quota
from benches.process import ServerFailed, ServerProcess, free_port
from benches.workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Variant:
    """A server as it is, or without something."""

    label: str
    peer: str = OURS
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Variants, the first of which is what the others are compared with, and the rows that could disprove it."""

    variants: tuple[Variant, ...]
    rows: tuple[str, ...]


def _switch(name: str) -> tuple[Variant, ...]:
    return Variant("on"), Variant("off", environment={"GRANIAN_DISABLE": name})


COMPARISONS = {
    "adaptive-limit": Comparison(_switch("adaptive-limit"), ("fastapi-sync", "fastapi-async", "asgi-sleep")),
    "deferred-writes": Comparison(_switch("deferred-writes"), ("fastapi-async", "asgi-hello", "asgi-10k")),
    "early-writes": Comparison(_switch("early-writes"), ("wsgi-stream",)),
    "allocator": Comparison(_switch("allocator"), ("wsgi-echo", "asgi-echo", "asgi-10k")),
    "loopback-reno": Comparison(_switch("loopback-reno"), ("tls-h2-download", "asgi-10k", "wsgi-stream")),
    "peers": Comparison(
        (Variant(OURS), Variant(REFERENCE, REFERENCE), Variant("uvicorn", "uvicorn")), ("fastapi-async", "fastapi-sync")
    ),
}
_SETTINGS = {"asgi": ("--loop", "uvloop"), "rsgi": ("--loop", "uvloop"), "wsgi": ("--blocking-threads", "1")}


@dataclass
class Outcome:
    """The samples of every variant on one row, under the same circumstances."""

    name: str
    row: str
    circumstances: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """A line of Markdown for each variant; ratios are the first one's over its, pair by pair."""
        [first, *_] = self.samples.values()
        lines = []
        for label, samples in self.samples.items():
            pairs = list(zip(first, samples, strict=False))
            cpu = [a.cpu_us / b.cpu_us for a, b in pairs]
            rate = [a.rate / b.rate for a, b in pairs]
            figures = [median(getattr(sample, key) for sample in samples) for key in ("cpu_us", "rate")]
            tail = [median(getattr(sample, key) for sample in samples) for key in ("p50_ms", "p99_ms", "p999_ms")]
            cells = [self.name, self.row, self.circumstances, label, f"{figures[0]:.1f}", f"{figures[1]:,.0f}"]
            cells += [f"{value:.2f}" for value in tail]
            cells += ["–", "–"] if samples is first else [_with_spread(cpu), _with_spread(rate)]
            lines.append("| " + " | ".join(cells) + " |")
        return lines


def _with_spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.3f} ({min(ratios):.2f}–{max(ratios):.2f})"


HEAD = (
    "| comparison | row | client | variant | CPU µs | requests/s | p50 ms | p99 ms | p99.9 ms "
    "| CPU, first over this | rate, first over this |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    # Servers, the namespace and the control group end with this in any case.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    outcomes: list[Outcome] = []
    print(HEAD, flush=True)
    for where in arguments.place:
        try:
            with place(where) as (host, target), quota(arguments.quota) as group:
                bench = Bench(host, target, group, arguments)
                outcomes += bench.run(where)
        except Unsupported as error:
            print(f"{where} left out: {error}", file=sys.stderr)
    if arguments.output:
        data = [dataclasses.asdict(outcome) for outcome in outcomes]
        arguments.output.write_text(json.dumps(data, indent=1) + "\n")
    return 0 if outcomes else 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.mechanisms", description=__doc__)
    names = ", ".join(COMPARISONS)
    parser.add_argument("--only", type=_names, default=list(COMPARISONS), metavar="NAME,...", help=f"of {names}")
    parser.add_argument(
        "--row", type=_names, default=[], metavar="NAME,...", help="these rows (default: the comparison's)"
    )
    parser.add_argument("--connections", type=_numbers, default=[64], metavar="N,...", help="connections (64)")
    parser.add_argument(
        "--place", type=_names, default=["loopback"], metavar="PLACE,...", help=f"of {', '.join(PLACES)}"
    )
    parser.add_argument(
        "--quota", type=int, metavar="PERCENT", help="of a processor for the server (default: all of one)"
    )
    parser.add_argument("--pairs", type=int, default=5, help="turns of each variant (5)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn (2)")
    parser.add_argument("--ours-env", type=Path, help="an environment that has this checkout; default: build one")
    parser.add_argument("--output", type=Path, help="file for the samples, JSON")
    arguments = parser.parse_args(argv)
    for name in arguments.only:
        if name not in COMPARISONS:
            parser.error(f"no such comparison: {name} (there are: {names})")
    for name in arguments.place:
        if name not in PLACES:
            parser.error(f"no such place: {name} (there are: {', '.join(PLACES)})")
    return arguments


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    return [int(name) for name in _names(text)]


class Bench:
    """Runs comparisons with the client at one place."""

    def __init__(self, host: str, target: Target, group: Path | None, arguments: argparse.Namespace) -> None:
        self._host = host
        self._target = target
        self._group = group
        self._arguments = arguments
        self._python = environments.find_python()

    def run(self, where: str) -> list[Outcome]:
        outcomes = []
        share = f", {self._arguments.quota} % of a processor" if self._group else ""
        for name in self._arguments.only:
            comparison = COMPARISONS[name]
            for row in self._arguments.row or comparison.rows:
                [workload] = [workload for workload in WORKLOADS if workload.name == row]
                for count in self._arguments.connections:
                    outcome = Outcome(name, row, f"{where}, {count}{share}")
                    try:
                        self._measure(comparison, dataclasses.replace(workload, connections=count), outcome)
                    except (OSError, ServerFailed) as error:
                        print(f"{name}, {row}, {outcome.circumstances} void: {error}", file=sys.stderr, flush=True)
                        continue
                    print("\n".join(outcome.lines()), flush=True)
                    outcomes.append(outcome)
        return outcomes

    def _measure(self, comparison: Comparison, workload: Workload, outcome: Outcome) -> None:
        with ExitStack() as stack:
            servers = []
            for variant in comparison.variants:
                servers.append((variant.label, stack.enter_context(self._start(variant, workload))))
                servers[-1][1].wait_ready(workload)
                if self._group:
                    servers[-1][1].move_to(self._group)
                servers[-1][1].pause()
            for number in range(self._arguments.pairs + 1):
                for label, server in servers[:: -1 if number % 2 else 1]:
                    server.resume()
                    target = dataclasses.replace(self._target, port=server.port)
                    # The first round is the warm-up.
                    sample = run_interval(server, workload, self._arguments.seconds if number else 1, target)
                    server.pause()
                    if number:
                        outcome.samples.setdefault(label, []).append(sample)
            outcome.samples = {label: outcome.samples[label] for label, _ in servers}

    def _start(self, variant: Variant, workload: Workload) -> ServerProcess:
        [peer] = [peer for peer in PEERS if peer.name == variant.peer]
        ours = self._arguments.ours_env if variant.peer == OURS else None
        folder = ours.absolute() / "bin" if ours else environments.prepare(peer, self._python)
        settings: tuple[str, ...] = _SETTINGS[workload.interface]
        if workload.secure and peer.tls is not None:
            settings = (*settings, *identity(peer.tls))
        port = free_port()
        launch = Launch(folder, workload.interface, workload.target, port, settings, self._host)
        return ServerProcess(peer.command(launch), port, variant.environment)


if __name__ == "__main__":
    sys.exit(main())
