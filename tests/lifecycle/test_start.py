"""A start succeeds wholly or ends with one message, exit code 1 and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time

import pytest
from e2e.wire import Wire

from .conftest import HELLO

FAILURES = {
    "absent": ("", "nowhere:app", "Could not import 'nowhere'."),
    "attribute": ("", "main:app", "has no attribute 'app'"),
    "inner import": ("import nonsense_that_is_not_there", "main:app", "nonsense_that_is_not_there"),
    "syntax": ("def app(:", "main:app", "SyntaxError"),
    "exception": ("raise ValueError('at import')", "main:app", "ValueError: at import"),
    "exit": ("import sys; sys.exit(3)", "main:app", "SystemExit: 3"),
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_importing(launch, number):
    """demand.md P1: the signal was lost and the worker served for ever."""
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


@pytest.mark.parametrize("source", ["import time; print('importing', flush=True); time.sleep(30)"])
def test_importing_workers_end_with_their_parent(launch, source):
    service = launch(source)
    service.wait_line("importing")
    service.signal(signal.SIGKILL)
    service.process.wait(5)
    service.wait_gone()


METHODS = """
    import multiprocessing, os, sys
    from granian import Granian

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        Granian("main:app", interface="asginl", port=int(sys.argv[2]), workers=2).serve()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_methods(tmp_path, method):
    import sys

    from e2e.server import free_port

    from .conftest import is_alive, write_app

    write_app(tmp_path, METHODS)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "main.py", method, str(port)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if sum("Started worker" in line for line in lines) == 2:
                break
        with Wire(("127.0.0.1", port)) as wire:
            assert wire.request("GET", "/").response().body == b"hello"
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.readlines()
        assert process.wait(5) == 0, lines
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    pids = [int(line.rpartition(" ")[2]) for line in lines if "Spawning" in line]
    assert pids and not any(map(is_alive, pids)), lines
