"""A start succeeds wholly or ends with one message, exit code 1 and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
import textwrap
import time
from pathlib import Path

import pytest
from e2e.wire import Wire

from .conftest import HELLO, wait_count

FAILURES = {
    "absent": ("", "nowhere:app", "Could not import 'nowhere'."),
    "attribute": ("", "main:app", "has no attribute 'app'"),
    "inner import": ("import nonsense_that_is_not_there", "main:app", "nonsense_that_is_not_there"),
    "syntax": ("def app(:", "main:app", "SyntaxError"),
    "exception": ("raise ValueError('at import')", "main:app", "ValueError: at import"),
    "exit": ("import sys; sys.exit(3)", "main:app", "SystemExit: 3"),
    "no module": ("", ":app", "The target ':app' names no module"),
    "death": ("import os; os.kill(os.getpid(), 9)", "main:app", "unexpected exit with code -9"),
}


@pytest.mark.parametrize("workers", ["1", "4"])
@pytest.mark.parametrize("case", FAILURES)
def test_application_that_cannot_be_loaded(launch, case, workers):
    source, target, message = FAILURES[case]
    failing = launch(source, "--workers", workers, target=target)
    assert failing.wait_exit(20) == 1
    assert failing.log().count("could not start:") == 1, failing.log()
    assert message in failing.log()
    assert "Started worker" not in failing.log()
    failing.wait_gone()


OWN_WORDS = ["absent", "attribute", "no module"]


@pytest.mark.parametrize("case", OWN_WORDS)
def test_a_wrong_target_is_one_line(launch, case):
    source, target, message = FAILURES[case]
    failing = launch(source, target=target)
    assert failing.wait_exit(20) == 1
    assert "Traceback" not in failing.log()
    assert [line for line in failing.lines() if "[ERROR]" in line] == [
        line for line in failing.lines() if message in line
    ]


def test_loop_that_is_not_installed(launch):
    failing = launch(HELLO, "--loop", "winloop", "--workers", "2")
    assert failing.wait_exit(20) == 1
    assert failing.lines() == ["[ERROR] --loop: 'winloop' implementation not available."]


FAILING_LIFESPAN = """
    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


def test_failed_lifespan(launch):
    failing = launch(FAILING_LIFESPAN, "--workers", "2", interface="asgi")
    assert failing.wait_exit(20) == 1
    assert "no database" in failing.log()
    assert "ASGI lifespan startup failed" in failing.log()
    failing.wait_gone()


def test_one_of_several_workers_cannot_start(launch, tmp_path):
    source = f"""
        import os
        os.mkdir({str(tmp_path / "taken")!r})
        async def app(scope, receive, send): pass
    """
    failing = launch(source, "--workers", "3")
    assert failing.wait_exit(20) == 1
    assert "FileExistsError" in failing.log()
    failing.wait_gone()


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_importing(launch, number):
    """The signal was lost and the worker served for ever."""
    importing = launch("print('importing', flush=True); import time; time.sleep(60)")
    importing.wait_line("importing")
    started = time.monotonic()
    importing.signal(number)
    assert importing.wait_exit(5) == 0
    assert time.monotonic() - started < 1.5
    importing.wait_gone()


STARTING = """
    import asyncio

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        print("starting", flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            print("cancelled", flush=True)
"""


@pytest.mark.alone
def test_stop_while_the_lifespan_starts(launch):
    starting = launch(STARTING, interface="asgi")
    starting.wait_line("starting")
    started = time.monotonic()
    starting.signal(signal.SIGTERM)
    assert starting.wait_exit(5) == 0
    assert time.monotonic() - started < 1.5
    assert "cancelled" in starting.log()
    assert "Traceback" not in starting.log()


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_stop_at_any_moment(launch, delay):
    """Once the supervisor has its handlers, no moment is one at which a stop is lost."""
    service = launch(HELLO, "--workers", "2")
    service.wait_line("Listening at")
    time.sleep(delay)
    service.signal(signal.SIGTERM)
    assert service.wait_exit(5) == 0
    service.wait_gone()


def test_second_instance_is_refused(serve, launch):
    first = serve(HELLO, "--workers", "2")
    second = launch(None, "--port", str(first.address[1]))
    assert second.wait_exit(20) == 1
    assert "in use" in second.log()
    assert "Traceback" not in second.log()


def test_name_resolves(launch):
    service = launch(HELLO, "--host", "localhost")
    service.wait_line("Started worker-1")
    port = int(service.wait_line(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
    assert port > 0
    with Wire(("127.0.0.1", port)) as wire:
        assert wire.request("GET", "/").response().status == 200
    service.stop()


@pytest.mark.parametrize("host", ["nowhere.invalid", "256.1.1.1", "203.0.113.7"])
def test_address_that_cannot_be_had(launch, host):
    failing = launch(HELLO, "--host", host)
    assert failing.wait_exit(20) == 1
    assert host in failing.log()
    assert "Traceback" not in failing.log()


def test_unix_socket(serve, launch, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    service = launch(HELLO, "--uds", str(path), "--uds-permissions", "0o600")
    service.wait_line("Started worker-1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Wire(str(path)) as wire:
        assert wire.request("GET", "/").response().status == 200
    second = launch(None, "--uds", str(path))
    assert second.wait_exit(20) == 1
    assert "another server is listening there" in second.log()
    service.stop()
    assert not path.exists()


def test_unix_socket_never_replaces_a_file(launch, tmp_path):
    path = tmp_path / "socket"
    path.write_text("precious")
    failing = launch(HELLO, "--uds", str(path))
    assert failing.wait_exit(20) == 1
    assert path.read_text() == "precious"


def test_several_addresses(launch, tmp_path):
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        passed.listen()
    service = launch(
        HELLO, "--bind", "127.0.0.1:0", "--bind", f"unix:{tmp_path}/one", "--bind", "unix:@granian-test-two"
    )
    service.wait_line("Started worker-1")
    port = int(service.wait_line(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
    service.wait_line("Listening at: http://unix:@granian-test-two")
    for address in (("127.0.0.1", port), f"{tmp_path}/one", "\0granian-test-two"):
        with Wire(address) as wire:
            assert wire.request("GET", "/").response().status == 200
    service.stop()


def test_pid_file(serve, launch, tmp_path):
    path = tmp_path / "pid"
    path.write_text("999999999")
    service = serve(HELLO, "--pid-file", str(path))
    assert path.read_text() == str(service.process.pid)
    second = launch(None, "--pid-file", str(path))
    assert second.wait_exit(20) == 1
    assert f"already exists for {service.process.pid}" in second.log()
    service.stop()
    assert not path.exists()


def test_pid_file_goes_with_a_failed_start(launch, tmp_path):
    path = tmp_path / "pid"
    failing = launch("1/0", "--pid-file", str(path))
    assert failing.wait_exit(20) == 1
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT, signal.SIGALRM])
def test_workers_end_with_their_parent(serve, number):
    service = serve(HELLO, "--workers", "2")
    service.wait_line("Started worker-2")
    service.signal(number)
    service.process.wait(5)
    service.wait_gone()


METHODS = """
    import multiprocessing, sys
    from granian import Granian

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        Granian("main:app", interface="asginl", port=0, workers=2).serve()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_methods(program, method):
    service = program(METHODS, method)
    service.wait_ready()
    service.wait_line("Started worker-2")
    for _ in range(20):
        assert service.get("/").text == "hello"
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-", 2)
    os.kill(service.pids()[-1], signal.SIGKILL)
    wait_count(service, "Started worker-", 5)
    assert service.get("/").text == "hello"
    service.stop()
    service.wait_gone()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_parent_of_other_start_methods_dies(program, method):
    service = program(METHODS, method)
    service.wait_ready()
    service.wait_line("Started worker-2")
    service.signal(signal.SIGKILL)
    service.process.wait(5)
    service.wait_gone()


IMPORTING = """
    import multiprocessing, sys
    from granian import Granian

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        Granian("slow:app", interface="asginl", port=0, workers=2).serve()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_importing_workers_end_with_their_parent(program, tmp_path, method):
    """Those of a fork server stayed: it ends when its last child does, and nobody looks at a pipe during an import."""
    (tmp_path / "slow.py").write_text("import time; print('importing', flush=True); time.sleep(30)")
    service = program(IMPORTING, method)
    wait_count(service, "importing", 2)
    service.signal(signal.SIGKILL)
    service.process.wait(5)
    service.wait_gone()


CHOICE = """
    import multiprocessing, os, sys, threading
    from granian import Granian

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getppid()})

    if __name__ == "__main__":
        # Linux since Python 3.14.
        multiprocessing.get_all_start_methods = lambda: ["forkserver", "spawn", "fork"]
        if sys.argv[1] == "threads":
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        Granian("main:app", interface="asginl", port=0).serve()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where a fork server is the system's choice")
@pytest.mark.parametrize("case", ["one thread", "threads"])
def test_fork_server_is_for_programs_with_threads(program, case):
    service = program(CHOICE, case)
    service.wait_ready()
    assert (int(service.get("/").text) == service.process.pid) is (case == "one thread")
    service.stop()


LOADER = """
    import os, sys
    from granian import Granian

    def load(target=None):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": f"{target}".encode()})
        return app

    if __name__ == "__main__":
        wrap = sys.argv[1] == "wrap"
        Granian("anything", interface="asginl", port=0).serve(target_loader=load, wrap_loader=wrap)
"""


@pytest.mark.parametrize(("wrap", "text"), [("wrap", "anything"), ("plain", "None")])
def test_target_loader(program, wrap, text):
    service = program(LOADER, wrap)
    service.wait_ready()
    assert service.get("/").text == text
    service.stop()


THREADS = """
    from granian.server.mt import MTServer

    async def app(scope, receive, send):
        import threading
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % threading.get_ident()})

    if __name__ == "__main__":
        # A build with a GIL refuses; the rest is the same.
        MTServer._check = lambda self: None
        MTServer("main:app", interface="asginl", port=0, workers=3).serve()
"""


def test_threads(program):
    service = program(THREADS)
    service.wait_ready()
    wait_count(service, "Started worker-", 3)
    assert len({service.get("/").text for _ in range(60)}) == 3
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-", 3)
    assert service.get("/").status == 200
    service.stop()
    assert "Traceback" not in service.log()


def test_threads_need_a_build_for_them(program):
    service = program("from granian.server import MTServer\nMTServer('main:app', port=0).serve()")
    assert service.wait_exit() == 1
    assert "gil" in service.log()


PRELOAD = """
    import dataclasses, multiprocessing, os, sys
    from granian import Granian

    print("loaded", flush=True)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    if __name__ == "__main__":
        if len(sys.argv) > 1:
            multiprocessing.set_start_method(sys.argv[1])
        server = Granian("main:app", interface="asginl", port=0, workers=3)
        server.config = dataclasses.replace(server.config, preload=True)
        server.serve()
"""


@pytest.mark.parametrize("method", [(), ("forkserver",), ("spawn",)])
def test_preload(program, method):
    """Workers are forked whatever the program, or since Python 3.14 the system, chooses for other processes."""
    service = program(PRELOAD, *method)
    service.wait_ready()
    wait_count(service, "Started worker-", 3)
    assert service.get("/").text == "hello"
    service.stop()
    # As a program and as a module of it.
    assert service.log().count("loaded") == 2


def test_preload_refuses_threads(program):
    started = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    service = program(started + textwrap.dedent(PRELOAD))
    assert service.wait_exit() == 1
    assert "a fork would lose the application's threads" in service.log()


PASSING = """
    import os, socket, sys

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    if __name__ == "__main__":
        passed = socket.socket()
        passed.bind(("127.0.0.1", 0))
        passed.listen()
        print("passed", passed.getsockname()[1], flush=True)
        os.dup2(passed.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ["LISTEN_PID"] = str(os.getpid())
        options = ["--interface", "asginl", "--workers", "2"] + sys.argv[1:]
        os.execv(sys.executable, [sys.executable, "-m", "granian", *options, "main:app"])
"""


@pytest.mark.parametrize("how", ["LISTEN_FDS", "--fd"])
def test_passed_socket(program, how):
    service = program(
        PASSING, *(["--fd", "3"] if how == "--fd" else []), env={"LISTEN_FDS": "1"} if how != "--fd" else {}
    )
    service.wait_ready()
    service.wait_line("Started worker-2")
    assert service.address == ("127.0.0.1", int(service.wait_line(r"passed (\d+)")[1]))
    assert service.get("/").status == 200
    service.stop()


def test_notifications(program, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        command = [sys.executable, "-m", "granian", "--interface", "asginl", "--port", "0", "main:app"]
        service = program(HELLO, command=command, env=env)

        def wait_state(state: str) -> None:
            while state not in notify.recv(4096).decode().split("\n"):
                pass

        wait_state("WATCHDOG=1")
        wait_state("READY=1")
        wait_state("WATCHDOG=1")
        service.signal(signal.SIGHUP)
        wait_state("RELOADING=1")
        wait_state("READY=1")
        service.signal(signal.SIGTERM)
        wait_state("STOPPING=1")
        assert service.wait_exit() == 0


def test_log_files_are_opened_anew(program, tmp_path):
    config = {
        "handlers": {"console": {"class": "logging.FileHandler", "filename": "log", "formatter": "generic"}},
    }
    (tmp_path / "log.json").write_text(json.dumps(config))
    arguments = ["--log-config", "log.json", "--interface", "asginl", "--port", "0", "main:app"]
    service = program(HELLO, command=[sys.executable, "-m", "granian", *arguments])
    log = tmp_path / "log"

    def wait_text(text: str) -> None:
        deadline = time.monotonic() + 10
        while not log.exists() or text not in log.read_text():
            assert time.monotonic() < deadline, service.log()
            time.sleep(0.01)

    wait_text("Started worker-1")
    log.rename(tmp_path / "log.1")
    service.signal(signal.SIGUSR1)
    wait_exists = time.monotonic() + 10
    while not log.exists():
        assert time.monotonic() < wait_exists
        time.sleep(0.01)
    service.signal(signal.SIGTERM)
    assert service.wait_exit() == 0
    assert "Shutting down granian" in log.read_text()


@pytest.mark.parametrize("case", ["absent", "exception", "exit"])
@pytest.mark.parametrize("log", [(), ("--no-log",), ("--log-level", "critical")])
def test_preloaded_application_that_cannot_be_loaded(launch, case, log):
    """It ended without a word."""
    source, target, message = FAILURES[case]
    failing = launch(source, "--preload", "--pid-file", "pid", *log, target=target)
    assert failing.wait_exit(20) == 1
    assert failing.log().count("could not be loaded:") == 1, failing.log()
    assert message in failing.log()
    assert not (failing.spec.cwd / "pid").exists()


@pytest.mark.parametrize("log", [("--no-log",), ("--log-level", "critical")])
def test_failed_start_without_a_log(launch, log):
    failing = launch("", *log, target="nowhere:app")
    assert failing.wait_exit(20) == 1
    assert failing.lines() == ["worker-1 could not start: Could not import 'nowhere'."]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_preloading(launch, number):
    """The pid file was left."""
    source = "import time; print('importing', flush=True); time.sleep(60)"
    importing = launch(source, "--preload", "--pid-file", "pid", "--uds", "socket")
    importing.wait_line("importing")
    importing.signal(signal.SIGHUP)
    importing.signal(number)
    assert importing.wait_exit(5) == 0
    assert not (importing.spec.cwd / "pid").exists()
    assert not (importing.spec.cwd / "socket").exists()


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_relative_addresses_are_of_the_folder_of_the_start(launch, tmp_path, preload):
    (tmp_path / "elsewhere").mkdir()
    service = launch(HELLO, "--bind", "unix:socket", "--working-dir", "elsewhere", *preload)
    service.wait_line("Started worker-1")
    with Wire(f"{tmp_path}/socket") as wire:
        assert wire.request("GET", "/").response().status == 200
    service.stop()


UNPICKLABLE = """
    import multiprocessing
    from granian import Granian

    if __name__ == "__main__":
        multiprocessing.set_start_method("spawn")
        Granian("main:app", port=0, log_dictconfig={"filters": {"one": {"()": lambda: None}}}).serve()
"""


def test_options_that_cannot_be_passed_to_workers(program):
    service = program(UNPICKLABLE)
    assert service.wait_exit() == 1
    assert "log_dictconfig: cannot be passed to workers that are not forked" in service.lines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc, of workers that are forked")
def test_workers_keep_little_of_each_other(serve):
    """Two descriptors of every worker before it, 20 where old ones were still leaving; one cannot be helped."""
    service = serve(HELLO, "--workers", "4")
    wait_count(service, "Started worker-", 4)
    first, *_, last = [len(os.listdir(f"/proc/{pid}/fd")) for pid in service.pids()]
    assert last <= first + 3
    service.stop()


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_environment_file_that_cannot_be_read(launch, tmp_path, preload):
    pytest.importorskip("dotenv")
    (tmp_path / "env").write_bytes(b"A=\xff")
    failing = launch(HELLO, "--env-files", "env", *preload)
    assert failing.wait_exit(20) == 1
    assert "Traceback" not in failing.log()
    (line,) = [line for line in failing.lines() if "[ERROR]" in line]
    assert re.fullmatch(r"\[ERROR\] --env-files: .*/env cannot be read: 'utf-8' codec can't decode .*", line)
    failing.wait_gone()


def test_environment_of_a_preloaded_application(launch, tmp_path):
    pytest.importorskip("dotenv")
    (tmp_path / "env").write_text("GREETING=from the file")
    source = """
        import os
        print(os.environ["GREETING"], flush=True)

        async def app(scope, receive, send): ...
    """
    service = launch(source, "--env-files", "env", "--preload")
    service.wait_line("Started worker-1")
    assert "from the file" in service.lines()
    service.stop()


def test_lifespan_that_fails_says_it_once(launch):
    failing = launch(FAILING_LIFESPAN, interface="asgi")
    assert failing.wait_exit(20) == 1
    assert [line for line in failing.lines() if "[ERROR]" in line] == [
        "[ERROR] no database",
        "[ERROR] worker-1 could not start: ASGI lifespan startup failed",
    ]
    assert "Traceback" not in failing.log()


# What a line of /proc/PID/stat has (proc_pid_stat(5)).
STAT_FIELDS = 52


def test_warnings_of_the_development_mode(program):
    """CPython counted threads wrong, and warned of a fork in a process with threads."""
    command = [sys.executable, "-X", "dev", "-W", "always", "-m", "granian", "--port", "0", "main:app"]
    service = program(HELLO, command=command, env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")})
    service.wait_ready()
    service.signal(signal.SIGHUP)
    service.wait_line("Stopped old worker-1")
    assert service.get("/").status == 200
    service.stop()
    assert "Warning" not in service.log(), service.log()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", [None, "a service of ours"])
def test_short_names_have_no_spaces(serve, name):
    """What splits /proc/PID/stat at spaces counts threads wrong, as CPython does after a fork."""
    pytest.importorskip("setproctitle")
    service = serve(HELLO, *(("--process-name", name) if name else ()))
    for pid in (service.process.pid, *service.pids()):
        assert len(Path(f"/proc/{pid}/stat").read_text().split()) == STAT_FIELDS
        title = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
        assert title.startswith(name or "granian asginl 127.0.0.1:")


LIMITED = ["sh", "-c", 'ulimit -n "$0"; exec "$@"']


@pytest.mark.parametrize("limit", [6, 8, 10, 12])
@pytest.mark.parametrize("options", [(), ("--workers", "3"), ("--reload",)], ids=" ".join)
def test_too_few_descriptors(program, limit, options):
    """Workers were spawned for ever."""
    command = [*LIMITED, str(limit), sys.executable, "-m", "granian", "--port", "0", "--loop", "asyncio", *options]
    service = program(HELLO, command=[*command, "main:app"], env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")})
    assert service.wait_exit(20) == 1
    errors = [line for line in service.lines() if line.startswith("[ERROR]")]
    assert errors
    assert "Too many open files" in errors[0]
    assert "Respawning" not in service.log()
    service.wait_gone()
