"""A PostgreSQL server for the rows with a query: in a temporary folder, by a user without rights, gone at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from benches.environments import Unavailable
from benches.process import LOAD_CORE, pinned

_START_SECONDS = 20.0
_STOP_SECONDS = 10
_USER = "bench"
_TABLE = (
    "CREATE TABLE item (id int PRIMARY KEY, message text NOT NULL);"
    "INSERT INTO item SELECT n, 'Hello, world!' FROM generate_series(1, 1000) AS n;"
    "ANALYZE item;"
)


class Database:
    """A context: while it lasts, programs with `environment` reach the server by libpq's variables.

    It shares the load generator's core: the processor time of a row is the application server's alone.

    # Errors
    `Unavailable` without an installed PostgreSQL, or if it does not start.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="granian-postgresql-"))
        self.environment = {"PGHOST": str(self._folder), "PGUSER": _USER, "PGDATABASE": "postgres"}
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Database":
        try:
            self._start(_programs())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._server is not None:
            # A fast shutdown: clients that are connected are cut off.
            self._server.send_signal(signal.SIGINT)
            try:
                self._server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, programs: Path) -> None:
        data, log = self._folder / "data", self._folder / "log"
        # PostgreSQL refuses to run as root.
        user = _unprivileged() if os.getuid() == 0 else None
        if user is not None:
            os.chown(self._folder, user, -1)
        self._run([str(programs / "initdb"), "-D", str(data), "-U", _USER, "-A", "trust", "--no-sync"], user)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            # Every server of a row keeps its connections while others are measured.
            "max_connections": "1500",
            "shared_buffers": "64MB",
            "fsync": "off",
        }
        command = [str(programs / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                pinned(LOAD_CORE, command), cwd=self._folder, user=user, stdout=output, stderr=output
            )
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run([programs / "pg_isready", "-q", "-h", self._folder], check=False).returncode:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"PostgreSQL does not start: {log.read_text().strip()[-200:]}")
            time.sleep(0.1)
        self._run([str(programs / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-c", _TABLE], None)

    def _run(self, command: list[str], user: int | None) -> None:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            command, cwd=self._folder, user=user, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unavailable(f"{Path(command[0]).name} failed: {done.stderr.strip()[-200:]}")


def _programs() -> Path:
    """The folder with the newest server's programs; Debian keeps them out of the PATH."""
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("postgres")
    if found is None:
        raise Unavailable("PostgreSQL is not installed (Debian: apt install postgresql)")
    return Path(found).resolve().parent


def _unprivileged() -> int:
    """The user of Debian's package, or nobody."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise Unavailable("PostgreSQL does not run as root, and there is no user to run it as")
