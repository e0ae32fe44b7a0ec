"""One server process tree: started pinned to a core, waited for, accounted from /proc, and ended."""

import gzip
import http.client
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benches import files, websocket
from benches.workloads import Workload

APPS = Path(__file__).resolve().parent / "apps"
SERVER_CORE = 0
LOAD_CORE = 1
_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class ServerFailed(Exception):
    """The server did not start, or did not answer as it should."""


class ServerProcess:
    """A running server and everything it has started."""

    def __init__(self, command: list[str], port: int, environment: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        own = {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1", "BENCH_FILE": str(files.folder() / "10k.bin")}
        self._process = subprocess.Popen(
            pinned(SERVER_CORE, command),
            cwd=APPS,
            env={**os.environ, **own, **(environment or {})},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_ready(self, workload: Workload) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return self.verify(workload)
            except (OSError, http.client.HTTPException, ServerFailed) as error:
                if self._process.poll() is not None:
                    raise ServerFailed(f"exited {self._process.returncode}: {self._log_tail()}") from error
                if time.monotonic() > deadline:
                    raise ServerFailed(f"not ready: {error or type(error).__name__}; {self._log_tail()}") from error
                time.sleep(0.05)

    def verify(self, workload: Workload) -> None:
        """One request, whose answer must be the workload's."""
        if workload.load == "websocket":
            return self._verify_websocket(workload)
        if workload.secure:
            context = ssl._create_unverified_context()
            secured = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
            connection: http.client.HTTPConnection = secured
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            name, _, value = workload.field.partition(": ")
            fields = {name: value} if name else {}
            connection.request(workload.method, workload.path, b"x" * workload.upload or None, fields)
            response = connection.getresponse()
            body = _decoded(response.getheader("content-encoding"), response.read(), workload.coding)
        finally:
            connection.close()
        is_read = workload.coding in ("", "gzip")
        if response.status != workload.status or (is_read and body != workload.expect):
            raise ServerFailed(f"wrong answer: {response.status}, {len(body)} bytes {body[:40]!r}")

    def _verify_websocket(self, workload: Workload) -> None:
        with websocket.connect(self.port) as connection:
            received = websocket.echo(connection, workload.expect)
        if received != workload.expect:
            raise ServerFailed(f"wrong answer: {received[:40]!r}")

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree, with what its ended children used."""
        total = 0
        for pid in self._tree():
            fields = _stat_fields(pid)
            total += sum(int(value) for value in fields[11:15]) if fields else 0
        return total / _TICKS

    def rss_bytes(self) -> int:
        total = 0
        for pid in self._tree():
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
        return total * os.sysconf("SC_PAGE_SIZE")

    def processes(self) -> list[int]:
        """The tree, the server's first process first."""
        return self._tree()

    def move_to(self, group: Path) -> None:
        """Put the tree into a control group."""
        for pid in self._tree():
            (group / "cgroup.procs").write_text(str(pid))

    def pause(self) -> None:
        """Keep the tree off the processor while others are measured."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        self.resume()
        self.stop()

    def stop(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, signum)
                self._process.wait(_STOP_SECONDS)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self._process.wait()
        self._log.close()

    def _tree(self) -> list[int]:
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat_fields(int(entry.name))):
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
        tree = [self._process.pid]
        for pid in tree:
            tree.extend(parents.get(pid, []))
        return tree

    def _log_tail(self) -> str:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1] if lines else "nothing logged"


def _decoded(coding: str | None, body: bytes, wanted: str) -> bytes:
    """The body; of the codings only gzip is read here, of the others that they are there."""
    if (coding or "") != wanted:
        raise ServerFailed(f"wrong coding: {coding}, not {wanted or 'none'}")
    return gzip.decompress(body) if coding == "gzip" else body


def pinned(core: int, command: list[str]) -> list[str]:
    """The command on one core; a machine with a single core is left to its scheduler."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > 1 else command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, ppid, ..., utime, stime, cutime, cstime at 11-14."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
