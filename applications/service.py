"""One application under the server, with default options: start, replacement, stop, and how long each took."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

START_WITHIN = 120.0
STOP_WITHIN = 60.0


class Service:
    """The server as a process of its own, and what it has written."""

    def __init__(self, target: str, folder: Path, environment: dict[str, str], options: tuple[str, ...] = ()) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "granian", "--port", "0", *options, target],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self.wait(r"Listening at: http://127\.0\.0\.1:(\d+)", START_WITHIN)[1])
        self.wait(r"Started worker-1", START_WITHIN)
        self.start_seconds = time.monotonic() - self._started

    @property
    def url(self) -> str:
        """Where the application is, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """All that was written so far."""
        return "\n".join(self._lines)

    def reload(self) -> float:
        """HUP; gives the seconds that the old worker takes to end once the new one is ready."""
        mark = len(self._lines)
        self._process.send_signal(signal.SIGHUP)
        self.wait(r"Started worker-1", START_WITHIN, mark)
        started = time.monotonic()
        self.wait(r"Stopped old worker-1", STOP_WITHIN, mark)
        return time.monotonic() - started

    def stop(self) -> float:
        """TERM; gives the seconds until the end. The exit code is 0 or this raises."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(STOP_WITHIN)
        took = time.monotonic() - started
        if code:
            raise AssertionError(f"exit code {code}")
        return took

    def kill(self) -> None:
        """Ends it, in whatever state it is."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def wait(self, pattern: str, seconds: float, since: int = 0) -> re.Match[str]:
        """The first line that has the pattern, written already or within the time given."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for line in self._lines[since:]:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    self.kill()
                    raise AssertionError(f"no {pattern!r} in the log:\n{self.log()}")
                self._changed.wait(min(left, 1))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.decode(errors="backslashreplace").rstrip("\n"))
                self._changed.notify_all()
