"""`python -m benches.bounds`: what an operator counts on when clients are many, slow or hostile, as figures.

`memory`: resident memory after an attack of each kind over that before it, once one of the same kind has warmed the
server up. `idle`: the time of a request beside 10,000 idle connections, and processor time while 1,000 requests wait in
line.
`readers`: memory of 50 clients that read a kilobyte a second. `overload`: answers at twice the capacity.
"""

import argparse
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benches.greed import HOLDERS, KINDS
from benches.greedy import greedy, server_of
from benches.load import run_interval
from benches.process import LOAD_CORE, ServerFailed, ServerProcess, pinned
from benches.workloads import HELLO, Goal, Workload

MIB = 1 << 20
_SETTLE = 3.0
_IDLE, _WAITING, _READERS = 10_000, 1_000, 50
# 10,000 connections of either side.
_DESCRIPTORS = 24_000
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x06\x04\0\0\0\0\0" + b"\0\x04\x7f\xff\xff\xff"
# The windows are wide: the socket is what stands still.
_WIDE = b"\0\0\x04\x08\0\0\0\0\0\x40\0\0\0"
_STREAM_FRAME = b"\0\0\x0e\x01\x05\0\0\0\x01\x82\x86\x04\x07/stream\x41\x01h"


def main(argv: Sequence[str] | None = None) -> int:
    parts = {"memory": _memory, "idle": _idle, "readers": _readers, "overload": _overload}
    parser = argparse.ArgumentParser(prog="python -m benches.bounds", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(parts), metavar="PART,...", help=f"of {','.join(parts)}")
    parser.add_argument("--kind", type=_names, default=[*KINDS, *HOLDERS], metavar="KIND,...", help="of attack")
    parser.add_argument("--seconds", type=int, default=2, help="length of an attack, and of a load (2)")
    parser.add_argument("--ours-env", type=Path, help="an environment that has this checkout; default: build one")
    parser.add_argument("--server", default="", metavar="OPTIONS", help="further options of the server")
    arguments = parser.parse_args(argv)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return sum(not parts[name](arguments) for name in arguments.only)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _workload(interface: str = "asgi", secure: bool = False) -> Workload:
    return Workload("bounds", interface, f"greedy_app:{interface}", HELLO, Goal(), secure=secure)


def _say(part: str, what: str, figure: str, is_met: bool) -> bool:
    print(f"| {part} | {what} | {figure} | {'yes' if is_met else 'NO'} |", flush=True)
    return is_met


def _settled(server: ServerProcess, workload: Workload) -> int:
    """Resident memory after a moment in which nothing happens but a request."""
    time.sleep(_SETTLE)
    server.verify(workload)
    time.sleep(_SETTLE)
    return server.rss_bytes()


def _memory(arguments: argparse.Namespace) -> bool:
    """Within a tenth of before."""
    met = []
    for name in arguments.kind:
        kind = {**KINDS, **HOLDERS}[name]
        workload = _workload(secure=kind.secure)
        with server_of(arguments, workload, kind.options) as server:
            run_interval(server, workload, 1)
            sizes = []
            for _ in range(3):
                with greedy(name, server.port, arguments.seconds):
                    time.sleep(arguments.seconds / 2)
                    peak = server.rss_bytes()
                sizes.append(_settled(server, workload))
        warm, before, after = (size / MIB for size in sizes)
        figure = f"{warm:.1f}, {before:.1f}, {after:.1f} MiB ({peak / MIB:.0f} meanwhile)"
        met.append(_say("memory", name, f"{figure}: {after / before:.3f}", after <= 1.1 * before))
    return all(met)


def _idle(arguments: argparse.Namespace) -> bool:
    """Places for two requests: a third one waits for nobody who is idle."""
    workload = _workload()
    met = []
    with server_of(arguments, workload, ("--backpressure", "2", "--backlog", "4096")) as server, ExitStack() as stack:
        for number in range(_IDLE):
            wire = stack.enter_context(_connect(server.port, number))
            if number % 2:
                _ask(wire, "/")
        times = sorted(_ask(stack.enter_context(_connect(server.port, number)), "/") for number in range(200))
        figure = f"median {times[100] * 1e3:.2f} ms, longest {times[-1] * 1e3:.2f} ms"
        met.append(_say("idle", f"a request beside {_IDLE:,} connections", figure, times[-1] < 0.05))
        busy = [stack.enter_context(_connect(server.port, number)) for number in range(2)]
        for wire in busy:
            wire.sendall(b"GET /held HTTP/1.1\r\nhost: bench\r\n\r\n")
        time.sleep(0.5)
        before = server.cpu_seconds()
        waiting = [stack.enter_context(_connect(server.port, number)) for number in range(_WAITING)]
        for wire in waiting:
            wire.sendall(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n")
        time.sleep(1)
        arriving = server.cpu_seconds() - before
        time.sleep(4)
        standing = server.cpu_seconds() - before - arriving
        figure = f"{arriving / _WAITING * 1e6:.0f} µs each to arrive, {standing / 4 * 100:.1f} % of a processor to wait"
        met.append(_say("idle", f"{_WAITING:,} requests in line", figure, standing < 0.12))
    return all(met)


def _connect(port: int, number: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10, (f"127.0.0.{2 + number % 8}", 0))


def _ask(wire: socket.socket, path: str) -> float:
    begin = time.monotonic()
    wire.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(HELLO):
        data = wire.recv(4096)
        if not data:
            raise ServerFailed("closed")
        answer += data
    return time.monotonic() - begin


def _readers(arguments: argparse.Namespace) -> bool:
    """64 KiB of each, as much in a worker's queue, and a socket's buffer, which is the kernel's."""
    met = []
    for interface in ("asgi", "rsgi", "wsgi"):
        for protocol in ("http/1", "http/2"):
            workload = _workload(interface)
            with server_of(arguments, workload, ()) as server, ExitStack() as stack:
                run_interval(server, workload, 1)
                before = _settled(server, workload)
                wires = [stack.enter_context(_connect(server.port, number)) for number in range(_READERS)]
                for wire in wires:
                    head = b"GET /stream HTTP/1.1\r\nhost: bench\r\n\r\n"
                    wire.sendall(head if protocol == "http/1" else _PREFACE + _WIDE + _STREAM_FRAME)
                served = _read_slowly(wires, arguments.seconds + 3)
                used = (server.rss_bytes() - before) / _READERS / 1024
            figure = f"{used:.0f} KiB each, {served} of {_READERS} served"
            met.append(_say("readers", f"{interface}, {protocol}", figure, used < 256 and served == _READERS))
    return all(met)


def _read_slowly(wires: list[socket.socket], seconds: int) -> int:
    """A kilobyte of each in every second; the number of those that had something in each one."""
    served = set(wires)
    for wire in wires:
        wire.settimeout(2)
    for _ in range(seconds):
        for wire in list(served):
            try:
                wire.recv(1000)
            except TimeoutError:
                served.discard(wire)
        time.sleep(1)
    return len(served)


def _overload(arguments: argparse.Namespace) -> bool:
    """Nine tenths of the capacity are answered in ten times the target, and the others are told in ten milliseconds."""
    met = []
    for name, options in (("off", ()), ("auto", ("--overload", "auto"))):
        workload = _workload()
        with server_of(arguments, workload, options) as server:
            capacity = _offer(server.port, 250, arguments.seconds, closed=True)
            done = _offer(server.port, 2 * capacity["rate"], 2 * arguments.seconds)
        answered, told = done["answered"], done["told"]
        share = len(answered) / (2 * arguments.seconds) / capacity["rate"]
        figure = f"capacity {capacity['rate']:.0f}/s; answered {share:.0%} of it in {_tail(answered)}"
        figure += f"; 503: {len(told)} in {_tail(told)}; {done['missed']} not offered"
        in_time = share * sum(each < 0.05 for each in answered) / max(len(answered), 1)
        figure += f"; in 50 ms: {in_time:.0%}"
        is_met = name == "off" or (in_time >= 0.9 and _at(told, 0.99) < 0.01)
        met.append(_say("overload", name, figure, is_met))
    return all(met)


def _tail(times: list[float]) -> str:
    return f"{_at(times, 0.5) * 1e3:.1f} (median), {_at(times, 0.99) * 1e3:.1f} ms (p99)"


def _at(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)] if times else 0.0


def _offer(port: int, rate: float, seconds: int, closed: bool = False) -> dict[str, Any]:
    """The load of `benches/offered.py`; closed: what four clients get that wait for each answer."""
    arguments = [str(port), "closed" if closed else str(rate), str(seconds)]
    command = pinned(LOAD_CORE, [sys.executable, "-m", "benches.offered", *arguments])
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if "SUMMARY " not in done.stdout:
        raise ServerFailed(f"the load failed: {done.stderr.strip()[-200:]}")
    numbers = json.loads(done.stdout.partition("SUMMARY ")[2])
    answered, told = numbers["times"].get("200", []), numbers["times"].get("503", [])
    return {"answered": answered, "told": told, "missed": numbers["missed"], "rate": len(answered) / seconds}


if __name__ == "__main__":
    print("| part | what | figure | within its bound |\n| --- | --- | --- | --- |", flush=True)
    sys.exit(main())
