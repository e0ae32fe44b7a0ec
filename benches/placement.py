"""`python -m benches.placement`: connections on threads of their own (`--runtime-mode mt`) beside the default.

`blocked`: a handler keeps the event loop for two seconds; meanwhile another client agrees on TLS, fetches a static file
and the health path. `cost`: server CPU of an ASGI hello, over granian's, in turns. `upload`: the time of 100 MiB over
TLS and without it, in turns, with all processors for all. Its client is one thread of this process: no server can be
faster than that thread, nor than the processors can do its work and the client's (`at least` in the table).
"""

import argparse
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from benches import environments, files
from benches.handshakes import identity
from benches.load import run_interval
from benches.peers import OURS, PEERS, REFERENCE, Launch
from benches.process import ServerFailed, ServerProcess, free_port
from benches.workloads import HELLO, Goal, Workload

MT = ("--runtime-mode", "mt", "--runtime-threads")
UPLOAD = 100 * 1024 * 1024
# Seconds that the longest visit may take beside a blocked loop; how much of the other figure mt may cost.
VISIT, COST, WALL = 0.020, 0.75, 0.75

Figure = TypeVar("Figure")


class Upload(NamedTuple):
    """Milliseconds of one upload, and of processors that it took on both sides."""

    wall: float
    client: float
    server: float


def main(argv: Sequence[str] | None = None) -> int:
    parts: dict[str, Callable[[argparse.Namespace], bool]] = {"blocked": _blocked, "cost": _cost, "upload": _upload}
    parser = argparse.ArgumentParser(prog="python -m benches.placement", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(parts), help=f"of {','.join(parts)}")
    parser.add_argument("--turns", type=int, default=5, help="measurements of each placement, in turn (5)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a load (2)")
    parser.add_argument("--ours-env", type=Path, help="an environment that has this checkout; default: build one")
    arguments = parser.parse_args(argv)
    return sum(not parts[name](arguments) for name in arguments.only)


@contextmanager
def _server(
    arguments: argparse.Namespace, settings: tuple[str, ...], secure: bool = False, name: str = OURS
) -> Iterator[ServerProcess]:
    [peer] = [peer for peer in PEERS if peer.name == name]
    is_ours = name == OURS and arguments.ours_env
    folder = arguments.ours_env.absolute() / "bin" if is_ours else _environment(name)
    if secure and peer.tls is not None:
        settings = (*settings, *identity(peer.tls))
    port = free_port()
    launch = Launch(folder, "asgi", "asgi_app:placed", port, settings)
    with ServerProcess(peer.command(launch), port) as server:
        server.wait_ready(_workload(secure))
        yield server


def _environment(name: str) -> Path:
    [peer] = [peer for peer in PEERS if peer.name == name]
    return environments.prepare(peer, environments.find_python())


def _workload(secure: bool = False) -> Workload:
    return Workload("placement", "asgi", "asgi_app:placed", HELLO, Goal(), secure=secure)


def _connect(port: int) -> HTTPConnection:
    return HTTPSConnection("127.0.0.1", port, timeout=60, context=ssl._create_unverified_context())


def _get(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise ServerFailed(f"{path}: {response.status}")
    return body


def _blocked(arguments: argparse.Namespace) -> bool:
    print("| a handler keeps the loop for 2 s | visits | median ms | longest ms |\n| --- | --- | --- | --- |")
    beside = ("--static-path-mount", str(files.folder()), "--static-path-route", "/static", "--health-path", "/up")
    for name, placement in (("st", ()), ("mt", (*MT, "1"))):
        for kind in ("sleeps", "computes"):
            with _server(arguments, (*placement, *beside), secure=True) as server:
                times = _visits(server.port, kind)
            longest = max(times)
            shown = f"{median(times) * 1e3:.1f} | {longest * 1e3:.1f}"
            print(f"| {name}, it {kind} | {len(times)} | {shown} |", flush=True)
            if name == "mt" and longest > VISIT:
                return False
    return True


def _visits(port: int, kind: str) -> list[float]:
    """Seconds of each visit beside a handler that blocks, from its call to its answer."""
    times = []
    blocker = _connect(port)
    blocker.request("GET", f"/{kind}")
    answered = threading.Thread(target=lambda: blocker.getresponse().read())
    time.sleep(0.2)
    answered.start()
    while answered.is_alive():
        begun = time.monotonic()
        connection = _connect(port)
        _get(connection, "/static/10k.bin")
        _get(connection, "/up")
        connection.close()
        times.append(time.monotonic() - begun)
    return times


def _cost(arguments: argparse.Namespace) -> bool:
    """The servers run side by side, and are loaded one after the other."""
    settings = {"granian": (REFERENCE, ()), "st": (OURS, ()), "mt, 1 thread": (OURS, (*MT, "1"))}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(_server(arguments, options, name=peer))
            for name, (peer, options) in settings.items()
        }
        spent = _in_turns(
            servers, arguments.turns, lambda server: run_interval(server, _workload(), arguments.seconds).cpu_us
        )
    print("| ASGI hello | µs of CPU per request | over granian |\n| --- | --- | --- |")
    return _compare(spent, "granian", "{:.1f}")["mt, 1 thread"] <= COST


def _upload(arguments: argparse.Namespace) -> bool:
    over = {secure: _uploads(arguments, secure) for secure in (True, False)}
    return over[True] <= WALL


def _uploads(arguments: argparse.Namespace, secure: bool) -> float:
    """Prints a row for each placement; the time of mt over that of st, the median over turns."""
    settings: dict[str, tuple[str, ...]] = {"st": (), "mt, 2 threads": (*MT, "2")}
    body, processors = bytes(UPLOAD), os.cpu_count() or 1
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_server(arguments, options, secure)) for name, options in settings.items()}
        for server in servers.values():
            for task in _tasks(server):
                os.sched_setaffinity(int(task.name), range(processors))
        found = _in_turns(servers, arguments.turns, lambda server: _send(server, body, secure))
    kind = "TLS upload" if secure else "upload"
    print(f"| {kind} of 100 MiB | ms | over st | client's CPU | server's CPU | at least |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, figures in found.items():
        wall, client, server = (median(column) for column in zip(*figures, strict=True))
        # In st the server is one thread as well.
        least = max(client, server if name == "st" else (client + server) / processors)
        over = median(one.wall / other.wall for one, other in zip(figures, found["st"], strict=True))
        print(f"| {name} | {wall:.0f} | {over:.2f} | {client:.0f} | {server:.0f} | {least:.0f} |", flush=True)
    return over


def _tasks(server: ServerProcess) -> list[Path]:
    return [task for pid in server.processes() for task in Path(f"/proc/{pid}/task").iterdir()]


def _server_ms(server: ServerProcess) -> float:
    return sum(int((task / "schedstat").read_text().split()[0]) for task in _tasks(server)) / 1e6


def _in_turns(
    servers: dict[str, ServerProcess], turns: int, measure: Callable[[ServerProcess], Figure]
) -> dict[str, list[Figure]]:
    """The figures of each server, one of each turn; a turn before them warms up."""
    found: dict[str, list[Figure]] = {name: [] for name in servers}
    for turn in range(turns + 1):
        for name, server in servers.items():
            figure = measure(server)
            if turn:
                found[name].append(figure)
    return found


def _compare(found: dict[str, list[float]], base: str, shown: str) -> dict[str, float]:
    """Prints a row for each server; its ratio to `base`, the median over turns."""
    over = {}
    for name, figures in found.items():
        over[name] = median(one / other for one, other in zip(figures, found[base], strict=True))
        print(f"| {name} | {shown.format(median(figures))} | {over[name]:.2f} |", flush=True)
    return over


def _send(server: ServerProcess, body: bytes, secure: bool) -> Upload:
    connection = _connect(server.port) if secure else HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.connect()
    before = _server_ms(server)
    used, begun = time.thread_time(), time.monotonic()
    connection.request("POST", "/sum", body)
    answer = connection.getresponse().read()
    took, used = time.monotonic() - begun, time.thread_time() - used
    connection.close()
    if answer != b"%d" % len(body):
        raise ServerFailed(f"wrong answer: {answer[:40]!r}")
    return Upload(took * 1e3, used * 1e3, _server_ms(server) - before)


if __name__ == "__main__":
    sys.exit(main())
