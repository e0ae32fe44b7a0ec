"""`--reload`: what is saved is served, what is broken is shown, and nothing holds it up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from .conftest import Service, wait_count, write_app
from .load import Load
from .test_replace import named

pytest.importorskip("watchfiles")


def wait_text(service: Service, text: str, timeout: float = 10) -> None:
    """Until requests are answered so."""
    deadline = time.monotonic() + timeout
    while service.get("/").text != text:
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.02)


@pytest.fixture
def service(serve):
    service = serve(named("first"), "--reload")
    service.wait_line("Watching for changes")
    return service


def test_change(service):
    service.write(named("second"))
    wait_text(service, "second")
    assert "Changes detected, reloading workers.." in service.log()
    assert "main.py" in service.log()
    service.stop()


def test_other_files_count(service):
    (service.spec.cwd / "page.html").write_text("hello")
    service.wait_line(r"Added: .*page\.html")
    wait_count(service, "Started worker-1", 2)
    service.stop()


def test_syntax_error(service):
    service.write("def app(:")
    service.wait_line("SyntaxError")
    assert service.get("/").text == "first"
    service.write(named("second"))
    wait_text(service, "second")
    service.stop()


def test_error_at_the_first_start(launch):
    service = launch("def app(:", "--reload")
    service.wait_line("SyntaxError")
    service.wait_line("Watching for changes")
    service.write(named("second"))
    service.wait_line("Started worker-1")
    service.stop()


def test_change_while_starting(service):
    """A second save while the first one's application loads ended reloading (#529, #916)."""
    service.write(named("slow", sleep=60))
    wait_count(service, "Spawning worker-1", 2)
    service.write(named("fast"))
    wait_text(service, "fast")
    service.stop()


def test_many_saves(service):
    with Load(service, clients=2) as load:
        for number in range(50):
            broken = number % 5 == 3
            service.write("import nothing_here" if broken else named(str(number)))
            time.sleep(0.1)  # the pace of the test, not a wait for something
        load.wait_answer("49", timeout=2)
    service.stop()


def test_open_stream(serve):
    source = """
        import asyncio

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while scope["path"] == "/stream":
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.05)
            await send({"type": "http.response.body", "body": b"hello"})
    """
    service = serve(source, "--reload")
    service.wait_line("Watching for changes")
    with service.connect() as wire:
        wire.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.head().status == 200
        service.write(named("second"))
        wait_text(service, "second", timeout=3)
        service.stop()


def test_hup(service):
    """It shut the server down (#376)."""
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-1", 1)
    service.write(named("second"))
    wait_text(service, "second")
    service.stop()


def test_together_with_limits(serve):
    """A lifetime or a limit of memory ended reloading (#737)."""
    service = serve(named("first"), "--reload", "--workers-lifetime", "60", "--workers-max-rss", "1000")
    service.wait_line("Watching for changes")
    for name in ("second", "third"):
        service.write(named(name))
        wait_text(service, name)
    service.stop()


def test_own_log_does_not_count(tmp_path):
    """Every reload wrote to the log, and every line of it led to a reload: no worker ever got to serve."""
    write_app(tmp_path, named("first"))
    command = [sys.executable, "-B", "-m", "granian", "--interface", "asginl", "--port", "0", "--reload", "main:app"]
    log = tmp_path / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT)

    def wait_log(text: str, count: int = 1) -> None:
        deadline = time.monotonic() + 20
        while log.read_text().count(text) < count:
            assert time.monotonic() < deadline, log.read_text()[:2000]
            time.sleep(0.02)

    try:
        wait_log("Watching for changes")
        wait_log("Started worker-1")
        (tmp_path / "page.html").write_text("hello")
        wait_log("Stopped old worker-1")
    finally:
        server.terminate()
        assert server.wait(10) == 0
    assert log.read_text().count("Changes detected") == 1


def test_ignored(serve, tmp_path):
    (tmp_path / "data").mkdir()
    options = ("--reload", "--reload-ignore-dirs", "data", "--reload-ignore-patterns", r"\.txt$")
    service = serve(named("first"), *options)
    service.wait_line("Watching for changes")
    (tmp_path / "data" / "a.py").write_text("")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.html").write_text("")
    service.wait_line("c.html")
    assert "a.py" not in service.log()
    assert "b.txt" not in service.log()
    service.stop()


# Root may read everything, unless it has given that up.
ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("setpriv"), reason="setpriv is not there")
@pytest.mark.parametrize("polling", [False, True])
def test_unreadable_folders(program, tmp_path, polling):
    """One of them ended the watch for good."""
    locked, late = tmp_path / "locked", tmp_path / "late"
    locked.mkdir()
    (locked / "below").mkdir()
    locked.chmod(0)
    command = [sys.executable, "-m", "granian", "--interface", "asginl", "--port", "0", "--reload", "main:app"]
    prefix = ORDINARY if os.geteuid() == 0 else []
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {"WATCHFILES_FORCE_POLLING": "true"} if polling else {}
    try:
        service = program(named("first"), command=[*prefix, *command], env=env)
        service.wait_ready()
        service.wait_line("Watching for changes")
        service.write(named("second"))
        wait_text(service, "second")
        late.mkdir(mode=0)
        service.write(named("third"))
        wait_text(service, "third")
        service.stop()
    finally:
        locked.chmod(0o700)
    assert "has ended" not in service.log()
    assert "Traceback" not in service.log()
