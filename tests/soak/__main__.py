"""One run of a soak and its verdict: `python -m soak --seconds 600 --seed 1 --placement mt --report FILE`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from . import watch
from .trouble import WORKERS, Trouble

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONUNBUFFERED": "1"}
# Client processes, and how many times the basic set of clients each of them has.
PROCESSES, SCALE = 2, 1
MAX_REQUESTS = 2000


class Service:
    """The server, and what its log tells."""

    def __init__(self, placement: str) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        command = [sys.executable, "-m", "soak.service", str(WORKERS), str(MAX_REQUESTS), placement]
        self.process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def wait(self, pattern: str, count: int = 1, timeout: float = 60) -> str:
        """Until so many lines have the pattern; gives the last of them."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(found := [line for line in self.lines if re.search(pattern, line)]) < count:
                assert self._changed.wait(deadline - time.monotonic()), "\n".join(self.lines[-50:])
        return found[-1]

    def pids(self, pattern: str) -> list[int]:
        return [int(found[1]) for line in list(self.lines) if (found := re.match(pattern, line))]

    def serving(self) -> list[int]:
        """Workers whose application has begun and not ended."""
        ended = set(self.pids(r"@ended (\d+)"))
        return [pid for pid in self.pids(r"@begun (\d+)") if pid not in ended and watch.is_alive(pid)]

    def is_settled(self, workers: int) -> bool:
        return len(self.serving()) == len(watch.children(self.pid)) == workers


class Soak:
    """One run."""

    def __init__(self, seconds: float, seed: int, placement: str) -> None:
        self.seconds, self.seed, self.placement = seconds, seed, placement
        self.service = Service(placement)
        self.service.wait(r"Started worker-", WORKERS)
        address = re.search(r"http://(.+):(\d+)", self.service.wait("Listening at"))
        assert address is not None
        self.address = address.groups()
        self.trouble = Trouble(self.service.pid, self.service.serving, seed)
        # Seconds, resident KiB of the supervisor, the largest worker's.
        self.samples: list[tuple[float, int, int]] = []
        self.faults: list[str] = []
        self.after, self.stop_time = 0, 0.0
        self.worker_descriptors: list[int] = []
        # Spawned, begun, killed.
        self.workers = 0, 0, 0
        self.done: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.before = watch.descriptors(self.service.pid)

    def run(self) -> None:
        clients = [self._start_clients(number) for number in range(PROCESSES)]
        begun = time.monotonic()
        next_trouble = begun + 2
        while (now := time.monotonic()) < begun + self.seconds:
            time.sleep(0.25)
            self._sample(now - begun)
            if now >= next_trouble:
                print(f"{now - begun:6.1f} s  {self.trouble.make()}", flush=True)
                next_trouble = now + self.trouble.pause()
            if self.service.process.poll() is not None or any(one.poll() is not None for one in clients):
                self.faults.append("a process has ended that should not")
                break
        for one in clients:
            self._take_results(one)
        self._settle()
        self._stop()
        self._judge()

    def _start_clients(self, number: int) -> subprocess.Popen[str]:
        arguments = [*self.address, str(self.seed + number), str(SCALE)]
        command = [sys.executable, "-m", "soak.clients", *arguments]
        return subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _sample(self, at: float) -> None:
        workers = [watch.resident(pid) for pid in self.service.serving()]
        self.samples.append((at, watch.resident(self.service.pid), max(workers, default=0)))

    def _take_results(self, clients: subprocess.Popen[str]) -> None:
        text, _ = clients.communicate(timeout=90)
        found: dict[str, Any] = json.loads(text)
        self.done.update(found["done"])
        self.repeated.update(found["repeated"])
        for failure in found["failures"]:
            if any(kill.explains(failure) for kill in self.trouble.kills):
                self.lost[failure["kind"]] += 1
            else:
                self.faults.append(f"failed request: {failure}")

    def _settle(self) -> None:
        """As in the beginning: that many workers, nobody who leaves, that many descriptors."""
        self._wait_workers()
        while self.trouble.settle():
            self._wait_workers()
        self.after = watch.descriptors(self.service.pid)
        # The socket of a place is kept when the place is given up: closing it would reset what waits in its queue.
        if self.after > self.before + self.trouble.most - WORKERS:
            self.faults.append(f"the supervisor has {self.after} descriptors, {self.before} in the beginning")
        counts = {pid: watch.descriptors(pid) for pid in self.service.serving()}
        self.worker_descriptors = sorted(counts.values())
        if self.worker_descriptors and self.worker_descriptors[-1] > WORKER_DESCRIPTORS:
            self.faults.append(f"descriptors of workers without a connection: {counts}")

    def _wait_workers(self) -> None:
        """Until nobody starts or leaves."""
        deadline = time.monotonic() + 60
        while not self.service.is_settled(self.trouble.expected):
            if time.monotonic() > deadline:
                children, serving = watch.children(self.service.pid), self.service.serving()
                return self.faults.append(f"{children} are left, {serving} serve, not {self.trouble.expected}")
            time.sleep(0.1)

    def _stop(self) -> None:
        begun = time.monotonic()
        self.service.process.terminate()
        try:
            code = self.service.process.wait(30)
        except subprocess.TimeoutExpired:
            self.faults.append("the server did not stop")
            self.service.process.kill()
            code = self.service.process.wait()
        self.stop_time = time.monotonic() - begun
        if code:
            self.faults.append(f"exit code {code}")
        self.service.wait("see ya")

    def _judge(self) -> None:
        spawned = self.service.pids(r".*Spawning worker-\d+ with PID: (\d+)")
        if left := [pid for pid in spawned if watch.is_alive(pid)]:
            self.faults.append(f"orphans: {left}")
        killed = {kill.pid for kill in self.trouble.kills}
        begun, ended = set(self.service.pids(r"@begun (\d+)")), set(self.service.pids(r"@ended (\d+)"))
        self.workers = len(spawned), len(begun), len(killed)
        if unfinished := begun - ended - killed:
            self.faults.append(f"no lifespan shutdown in {sorted(unfinished)}")
        for sign in ("Traceback", "panicked", "Killing", "Leaving without", "did not end in time"):
            self.faults += [f"in the log: {line}" for line in self.service.lines if sign in line]
        self._judge_memory()
        if not self.done:
            self.faults.append("no request was answered")

    def _judge_memory(self) -> None:
        """Flat: the last third is no larger than the second one, but for what chance makes."""
        third = len(self.samples) // 3
        for column, name in ((1, "supervisor"), (2, "largest worker")):
            early = max(sample[column] for sample in self.samples[third : 2 * third])
            late = max(sample[column] for sample in self.samples[2 * third :])
            if late > early * 1.1 + 2048:
                self.faults.append(f"memory of the {name} grows: {early} KiB, then {late} KiB")

    def report(self) -> str:
        """The report, in Markdown."""
        third = len(self.samples) // 3

        def row(name: str, column: int) -> str:
            parts = [self.samples[at : at + third] for at in (0, third, 2 * third)]
            return f"| {name} | " + " | ".join(f"{max(s[column] for s in part) / 1024:.1f}" for part in parts) + " |"

        spawned, begun, killed = self.workers
        return "\n".join(
            [
                f"- {self.seconds:.0f} s, seed {self.seed}, {WORKERS} workers, {self.placement},"
                f" CPython {platform.python_version()}, {platform.system()}, {os.cpu_count()} CPUs",
                f"- answered: {sum(self.done.values())} ("
                + ", ".join(f"{name}: {count}" for name, count in sorted(self.done.items()))
                + ")",
                f"- **failed: {sum(fault.startswith('failed request') for fault in self.faults)}**",
                f"- in flight on a worker that was killed with SIGKILL: {sum(self.lost.values())}"
                f" of {sum(len(kill.ports) for kill in self.trouble.kills)} connections that such workers had",
                f"- sent again because the server had just closed the idle connection: {sum(self.repeated.values())}",
                "- done to the service: " + ", ".join(f"{n} × {name}" for name, n in sorted(self.trouble.made.items())),
                f"- workers: {spawned} spawned, {begun} began to serve, {killed} killed; all others ran the"
                " application's shutdown",
                f"- descriptors of the supervisor: {self.before} before, {self.after} after (at most"
                f" {self.trouble.most} workers, a listening socket each); of idle workers in the end:"
                f" {self.worker_descriptors}",
                f"- stop: {self.stop_time:.2f} s, nobody left behind",
                "",
                "| resident MiB, most in | first third | second | last |",
                "| --- | --- | --- | --- |",
                row("supervisor", 1),
                row("a worker", 2),
                "",
            ]
        )


# Of a worker that nobody is connected to: standard streams, loop, pipe, its listening sockets and those it inherits.
WORKER_DESCRIPTORS = 40

HEADING = """# A soak

Clients of every kind check every byte of their answers while workers are replaced and killed at random; only requests
in flight on a worker that was killed with SIGKILL may be lost, and those are told apart by the connections that the
worker had at that moment.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    parser.add_argument("--placement", choices=("st", "mt"), default="st", help="--runtime-mode of the server")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    soak = Soak(options.seconds, options.seed, options.placement)
    try:
        soak.run()
    finally:
        if soak.service.process.poll() is None:
            soak.service.process.kill()
    text = soak.report()
    print(text)
    if soak.faults:
        print(*soak.faults[:50], sep="\n")
        print(*soak.service.lines[-300:], sep="\n", file=sys.stderr)
        sys.exit(1)
    if options.report is not None:
        arguments = f"--seed {options.seed} --placement {options.placement}"
        command = f'make soak SECONDS={options.seconds:.0f} ARGS="{arguments}"'
        options.report.write_text(f"{HEADING}\n`{command}`\n\n{text}")


if __name__ == "__main__":
    main()
