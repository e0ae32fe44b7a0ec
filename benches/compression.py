"""`python -m benches.compression`: `--compress` beside the middleware of frameworks and nginx with `gzip on`.

The servers of a row are started together and take turns. A ratio is the median over pairs of turns of `--compress` with
gzip over the other server, so that noise hits both. nginx compresses files of its page cache on every request and calls
no application, the other rows do.
"""

import argparse
import http.client
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benches import environments, files
from benches.apps.texts import TEXTS
from benches.load import Sample, run_interval
from benches.peers import OURS, PEERS, Launch
from benches.process import ServerFailed, ServerProcess, free_port
from benches.workloads import Goal, Workload

LEVEL = "4"
"""Of gzip, by `--compress`."""


@dataclass(frozen=True)
class Variant:
    """One way to compress the same text."""

    label: str
    interface: str
    target: str
    coding: str = "gzip"
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    must: float | None = None
    """The bound on the ratio."""


_STARLETTE, _DJANGO = "compress_starlette", "compress_django:app"
_FAMILIES = {
    "starlette": (
        Variant("--compress, gzip", "asgi", f"{_STARLETTE}:app", arguments=("--compress",)),
        Variant("GZipMiddleware", "asgi", f"{_STARLETTE}:level_9", must=1.0),
        Variant(f"GZipMiddleware, level {LEVEL}", "asgi", f"{_STARLETTE}:level_4", must=1.0),
        Variant(f"nginx, level {LEVEL}", "gzip", LEVEL, must=1.2),
        Variant("--compress, br", "asgi", f"{_STARLETTE}:app", "br", arguments=("--compress",)),
        Variant("--compress, zstd", "asgi", f"{_STARLETTE}:app", "zstd", arguments=("--compress",)),
        Variant("plain", "asgi", f"{_STARLETTE}:app", ""),
    ),
    "django": (
        Variant("--compress, gzip", "wsgi", _DJANGO, arguments=("--compress",)),
        Variant("GZipMiddleware", "wsgi", _DJANGO, environment={"GZIP": "1"}, must=1.0),
        Variant("plain", "wsgi", _DJANGO, ""),
    ),
}
HEAD = (
    "| framework | answer | compressed by | bytes | CPU µs | --compress, gzip over this | must |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    python = environments.find_python()
    folders = {}
    for peer in PEERS:
        if peer.name == OURS and arguments.ours_env:
            folders[peer.name] = arguments.ours_env.absolute() / "bin"
        elif peer.name in (OURS, "nginx"):
            folders[peer.name] = environments.prepare(peer, python)
    print(HEAD, flush=True)
    for family in arguments.only:
        for path in arguments.path:
            try:
                print("\n".join(_row(family, path, folders, arguments)), flush=True)
            except (OSError, ServerFailed) as error:
                print(f"{family} {path} void: {error}", file=sys.stderr, flush=True)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.compression", description=__doc__)
    paths = [f"{way}/{name}" for way in ("whole", "stream") for name in TEXTS]
    parser.add_argument("--only", nargs="+", choices=list(_FAMILIES), default=list(_FAMILIES), help="frameworks")
    parser.add_argument("--path", nargs="+", choices=paths, default=paths, help="answers")
    parser.add_argument("--pairs", type=int, default=5, help="turns of each server (5)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn (2)")
    parser.add_argument("--ours-env", type=Path, help="an environment that has this checkout; default: build one")
    return parser.parse_args(argv)


def _row(family: str, path: str, folders: Mapping[str, Path], arguments: argparse.Namespace) -> list[str]:
    variants = [each for each in _FAMILIES[family] if path.startswith("whole") or each.interface != "gzip"]
    samples: dict[str, list[Sample]] = {each.label: [] for each in variants}
    sizes: dict[str, int] = {}
    with ExitStack() as stack:
        servers = []
        for each in variants:
            workload = _workload(each, path)
            server = stack.enter_context(_start(each, folders))
            server.wait_ready(workload)
            sizes[each.label] = _size(server.port, workload)
            server.pause()
            servers.append((each, workload, server))
        for number in range(arguments.pairs + 1):
            for each, workload, server in servers[:: -1 if number % 2 else 1]:
                server.resume()
                # The first round is the warm-up.
                sample = run_interval(server, workload, arguments.seconds if number else 1)
                server.pause()
                if number:
                    samples[each.label].append(sample)
    first = samples[variants[0].label]
    lines = []
    for each in variants:
        own = samples[each.label]
        ratios = [a.cpu_us / b.cpu_us for a, b in zip(first, own, strict=True)]
        ratio = "–" if own is first else f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        cpu = median(sample.cpu_us for sample in own)
        must = "–" if each.must is None else f"≤ {each.must}"
        cells = [family, path, each.label, f"{sizes[each.label]:,}", f"{cpu:.0f}", ratio, must]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _workload(variant: Variant, path: str) -> Workload:
    name = path.partition("/")[2]
    return Workload(
        *(variant.label, variant.interface, variant.target, TEXTS[name], Goal()),
        path=f"/static/{name}" if variant.interface == "gzip" else f"/{path}",
        field=f"accept-encoding: {variant.coding}" if variant.coding else "",
        coding=variant.coding,
    )


def _start(variant: Variant, folders: Mapping[str, Path]) -> ServerProcess:
    name = "nginx" if variant.interface == "gzip" else OURS
    [peer] = [peer for peer in PEERS if peer.name == name]
    files.folder()
    port = free_port()
    launch = Launch(folders[name], variant.interface, variant.target, port, variant.arguments)
    return ServerProcess(peer.command(launch), port, variant.environment)


def _size(port: int, workload: Workload) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    name, _, value = workload.field.partition(": ")
    connection.request("GET", workload.path, headers={name: value} if name else {})
    size = len(connection.getresponse().read())
    connection.close()
    return size


if __name__ == "__main__":
    sys.exit(main())
