"""The server under test as a child process: start, ready, log, stop."""

from __future__ import annotations

import array
import fcntl
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .wire import DEADLINE, Address, Response, Wire

APPS = Path(__file__).parent.parent / "apps"
COMMAND = shlex.split(os.environ.get("GRANIAN_E2E_COMMAND", "")) or [sys.executable, "-m", "granian"]
# For a server that does not say which port it got when asked for port 0.
PICK_PORT = bool(os.environ.get("GRANIAN_E2E_PICK_PORT"))
# The placement that servers are started in, unless a test asks for one: `mt`, else the default.
PLACEMENT = os.environ.get("GRANIAN_TEST_PLACEMENT", "")
PLACED = ["--runtime-mode", "mt", "--runtime-threads", "2"] if PLACEMENT == "mt" else []
# Probe applications of all interfaces: target, interface and options.
TARGETS = {
    "asgi": ("asgi_probe:app", "asginl"),
    "rsgi": ("rsgi_probe:app", "rsgi"),
    "wsgi": ("wsgi_probe:app", "wsgi", "--blocking-threads", "1"),
    "wsgi-pool": ("wsgi_probe:app", "wsgi", "--blocking-threads", "8"),
}
STOP_WITHIN = 5.0
SETTLE_WITHIN = 1.0


@dataclass(frozen=True)
class Spec:
    """The server to start; equal specs can share one."""

    target: str
    interface: str | None = "asgi"
    options: tuple[str, ...] = ()
    loop: str = "asyncio"
    uds: bool = False
    env: tuple[tuple[str, str], ...] = ()
    cwd: Path = APPS


class Server:
    """One running server and everything it has written."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        # All that was written, and the same without the time and the process that the server's lines begin with.
        self.raw: list[str] = []
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._closed = False
        self._is_released = False
        self._scripts = 0
        self._wires: list[Wire] = []
        self._folder = tempfile.TemporaryDirectory(prefix="granian-")
        self.address: Address = ("", 0)
        self.process = subprocess.Popen(
            [*COMMAND, spec.target, *self._arguments()],
            cwd=spec.cwd,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._pipe = self.process.stdout.fileno()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _arguments(self) -> list[str]:
        arguments = ["--loop", self.spec.loop]
        if self.spec.interface is not None:
            arguments += ["--interface", self.spec.interface]
        if self.spec.uds:
            arguments += ["--uds", f"{self._folder.name}/socket"]
        else:
            arguments += ["--host", "127.0.0.1", "--port", str(free_port() if PICK_PORT else 0)]
        return [*arguments, *self._placed(), *self.spec.options]

    def _placed(self) -> list[str]:
        # A clock that is put forward wakes nobody: a request has the only thread see it.
        return [*PLACED, "--runtime-threads", "1"] if PLACED and "TEST_CLOCK" in dict(self.spec.env) else PLACED

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("GRANIAN_")}
        return {**own, "PYTHONUNBUFFERED": "1", **dict(self.spec.env)}

    def wait_ready(self) -> Server:
        """Waits until the worker says that it serves, and learns the address."""
        try:
            self.wait_line(r"Started worker-1\b", timeout=30)
            listening = self.wait_line(r"Listening at: https?://(?:unix:([^\"]+)|\[?([0-9.]+|::1)\]?:(\d+))(?:\"\})?$")
            path, host, port = listening.groups()
            self.address = path or (host, int(port))
            if PICK_PORT:
                self._wait_accepting()
        except BaseException:
            self.kill()
            raise
        return self

    def _wait_accepting(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                return self.connect().close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, self.log()

    @property
    def url(self) -> str:
        assert isinstance(self.address, tuple)
        return f"http://127.0.0.1:{self.address[1]}"

    # The log.

    def _read(self) -> None:
        rest = b""
        while True:
            select.select([self._pipe], [], [])
            with self._changed:
                data = os.read(self._pipe, 1 << 16)
                *lines, rest = (rest + data).split(b"\n")
                self.raw += [line.decode(errors="backslashreplace") for line in lines]
                self._lines += map(bare, self.raw[len(self._lines) :])
                self._closed = not data
                self._changed.notify_all()
            if not data:
                return

    def mark(self) -> int:
        """A position in the log, for `since`: behind all that was written and all scripts sent so far."""
        deadline = time.monotonic() + SETTLE_WITHIN
        with self._changed:
            while self._is_unsettled() and time.monotonic() < deadline:
                self._changed.wait(0.05)
            self._scripts = self._noted_scripts()
            return len(self._lines)

    def _is_unsettled(self) -> bool:
        return self._has_unread() or self._noted_scripts() < self._scripts

    def _has_unread(self) -> bool:
        if self._closed or self._is_released:
            return False
        pending = array.array("i", [0])
        fcntl.ioctl(self._pipe, termios.FIONREAD, pending)
        return bool(pending[0])

    def _noted_scripts(self) -> int:
        return sum(line.startswith("@script ") for line in self._lines)

    def _count_scripts(self, headers: tuple[str, ...]) -> None:
        self._scripts += any(header.startswith("x-script:") for header in headers)

    def lines(self, since: int = 0) -> list[str]:
        """All that has been written so far, also what this process has not had the time to read."""
        deadline = time.monotonic() + SETTLE_WITHIN
        with self._changed:
            while self._has_unread() and time.monotonic() < deadline:
                self._changed.wait(0.05)
            return self._lines[since:]

    def log(self, since: int = 0) -> str:
        return "\n".join(self.lines(since))

    def wait_line(self, pattern: str, since: int = 0, timeout: float = DEADLINE) -> re.Match[str]:
        """The first log line that has the pattern, written already or within the time given."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self._lines[since:]:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    raise AssertionError(f"no {pattern!r} in the log of {self.spec}:\n{self.log()}")
                self._changed.wait(left)

    def note(self, name: str, since: int = 0) -> Any:
        """The value that an application noted under this name (see `apps/support.py`)."""
        return json.loads(self.wait_line(rf"@{re.escape(name)} (.*)$", since)[1])

    # Requests.

    def connect(self, receive_buffer: int | None = None) -> Wire:
        wire = Wire(self.address, receive_buffer=receive_buffer)
        wire.on_request = self._count_scripts
        self._wires.append(wire)
        return wire

    def hang_up(self) -> None:
        """Closes what a test has left open."""
        while self._wires:
            self._wires.pop().close()

    def request(self, method: str, target: str, *headers: str, body: bytes = b"") -> Response:
        """One request on a connection of its own, which the server may keep open."""
        with self.connect() as wire:
            return wire.request(method, target, *headers, body=body).response(method)

    def get(self, target: str, *headers: str) -> Response:
        return self.request("GET", target, *headers)

    # The process.

    @property
    def worker(self) -> int:
        return int(self.wait_line(r"Spawning worker-1 with PID: (\d+)")[1])

    def memory(self) -> int:
        """Resident bytes of the worker."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None, status
        return int(found[1]) * 1024

    def check(self) -> None:
        """The server runs on and nothing has gone wrong inside it."""
        assert self.process.poll() is None, f"the server died:\n{self.log()}"
        for sign in ("panicked at", "--- Logging error ---", "Unexpected exit"):
            assert sign not in self.log(), self.log()

    def wait_exit(self, timeout: float = STOP_WITHIN) -> int:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout} s:\n{self.log()}") from None
        self._release()
        return code

    def _release(self) -> None:
        self._reader.join(STOP_WITHIN)
        assert self.process.stdout is not None
        self._is_released = True
        self.process.stdout.close()
        self._folder.cleanup()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """SIGTERM must end it in time and without complaint."""
        if self.process.poll() is None:
            self.terminate()
        self.finish()

    def finish(self, timeout: float = STOP_WITHIN) -> None:
        """Waits for the end that `terminate` has asked for."""
        code = self.wait_exit(timeout)
        assert code == 0, f"exit code {code}:\n{self.log()}"

    def kill(self) -> None:
        """Ends the child's own process group, whatever state it is in."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._release()


def bare(text: str) -> str:
    """Lines of the server's log without their time and process."""
    return re.sub(r"^\[[-+: \d]+\] \[\d+(?: worker-\d+)?\] (?=\[[A-Z]+\] )", "", text, flags=re.M)


def script(*steps: str) -> str:
    """The header that makes a probe application perform these steps (see `apps/support.py`)."""
    return "x-script: " + quote(json.dumps(steps))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
