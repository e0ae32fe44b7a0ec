"""Workers are replaced without a lost request, and never two of them are down."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time

import pytest
from e2e.websocket import close_frame, open_websocket

from .conftest import HELLO, is_alive, wait_count
from .load import Load

NAMED = """
    import os, time
    time.sleep({sleep})

    async def app(scope, receive, send):
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"{name}"}})
"""
LIFESPAN = """
    import os, time

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print(f"ended {os.getpid()}\\n", end="", flush=True)
            return await send({"type": "lifespan.shutdown.complete"})
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                time.sleep(0) or await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})

    import asyncio
"""


def named(name: str, sleep: float = 0) -> str:
    return NAMED.format(name=name, sleep=sleep)


@pytest.mark.parametrize("workers", [1, 2])
def test_hup_under_load(serve, workers):
    """Connections were refused for as long as the new worker took to start."""
    service = serve(named("0"), "--workers", str(workers))
    wait_count(service, "Started worker-", workers)
    with Load(service) as load:
        for number in range(1, 21):
            service.write(named(str(number)))
            service.signal(signal.SIGHUP)
            wait_count(service, "Stopped old worker-", number * workers)
            load.wait_answer(str(number))
    service.stop()


def test_slow_import_under_load(serve):
    service = serve(named("old"))
    service.write(named("new", sleep=5))
    with Load(service) as load:
        started = time.monotonic()
        service.signal(signal.SIGHUP)
        load.wait_answer("new")
        assert time.monotonic() - started >= 5
        load.wait_answers(100)


def test_successor_that_cannot_start(serve):
    """The old worker serves on, the new one is tried again later and later."""
    service = serve(named("old"), "--workers", "2")
    service.wait_line("Started worker-2")
    with Load(service) as load:
        service.write("raise ValueError('not today')")
        service.signal(signal.SIGHUP)
        service.wait_line("Respawning worker-1 in 0.5 s")
        service.wait_line("Respawning worker-1 in 1.0 s")
        load.wait_answers(100)
        service.write(named("new"))
        wait_count(service, "Stopped old worker-", 2)
        load.wait_answer("new")
        assert load.answers["old"]
    service.stop()


def test_hup_while_a_successor_starts(serve):
    """The second change counts."""
    service = serve(named("old"))
    with Load(service) as load:
        service.write(named("never", sleep=60))
        service.signal(signal.SIGHUP)
        wait_count(service, "Spawning worker-1", 2)
        service.write(named("new"))
        service.signal(signal.SIGHUP)
        load.wait_answer("new")
        assert "never" not in load.answers
    service.stop()


@pytest.mark.parametrize("workers", [1, 3])
def test_killed_worker_is_replaced(serve, workers):
    """One dead worker ended the service."""
    service = serve(HELLO, "--workers", str(workers))
    wait_count(service, "Started worker-", workers)
    for number in range(3):
        victim = service.pids()[-1]
        os.kill(victim, signal.SIGKILL)
        wait_count(service, "Started worker-", workers + number + 1)
        assert service.get("/").status == 200
    assert service.log().count("Unexpected exit from worker-") == 3
    service.stop()


def test_queued_connections_survive_a_kill(serve):
    """What waits in a queue is served by another worker or the successor."""
    source = """
        import os, time
        time.sleep(0.5)

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
    """
    service = serve(source, "--workers", "2")
    service.wait_line("Started worker-2")
    victims = service.pids()
    for victim in victims:
        os.kill(victim, signal.SIGSTOP)
    wires = [service.connect().request("GET", "/") for _ in range(40)]
    os.kill(victims[0], signal.SIGKILL)
    # The killed worker's queue waits for its successor while the other one stands still.
    wait_count(service, "Started worker-1", 2)
    os.kill(victims[1], signal.SIGCONT)
    for wire in wires:
        with wire:
            assert wire.response().status == 200
    service.stop()


def test_no_respawn(serve):
    service = serve(HELLO, "--workers", "2", "--no-respawn-failed-workers")
    service.wait_line("Started worker-2")
    os.kill(service.pids()[0], signal.SIGKILL)
    assert service.wait_exit() == 1
    assert "Unexpected exit from worker-1" in service.log()
    service.wait_gone()


@pytest.mark.alone
def test_crash_loop_backs_off(serve):
    source = """
        import asyncio, os

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                asyncio.get_running_loop().call_later(0.05, os._exit, 7)
                await send({"type": "lifespan.startup.complete"})
                await receive()
    """
    service = serve(source, interface="asgi")
    for seconds in ("1.0", "2.0"):
        service.wait_line(rf"Respawning worker-1 in {seconds} s")
    assert service.process.poll() is None
    started = time.monotonic()
    service.stop()
    assert time.monotonic() - started < 1


def test_worker_told_to_stop_from_outside(serve):
    service = serve(LIFESPAN, "--workers", "2", interface="asgi")
    service.wait_line("Started worker-2")
    with Load(service) as load:
        for number in range(1, 6):
            os.kill(service.pids()[-1], signal.SIGTERM)
            wait_count(service, "Started worker-", 2 + number)
            load.wait_answers(20)
    service.stop()
    assert sorted(map(int, re.findall(r"ended (\d+)", service.log()))) == sorted(service.pids())


def test_max_requests(serve):
    """Ten thousand requests, recycling all the time: none fails, never two workers down."""
    service = serve(
        LIFESPAN, "--workers", "4", "--max-requests", "100", "--max-requests-jitter", "50", interface="asgi"
    )
    wait_count(service, "Started worker-", 4)
    with Load(service, clients=8) as load:
        load.wait_answers(5000, timeout=50)
    assert service.log().count("has served its requests") > 10
    service.stop()
    # One may have started at the very end.
    assert len(re.findall(r"ended (\d+)", service.log())) >= service.log().count("Started worker-")
    assert_one_at_a_time(service.lines())


def assert_one_at_a_time(lines: list[str]) -> None:
    """Between a `Respawning` and the next there is a `Started`."""
    coming = False
    for line in lines:
        if "Respawning" in line:
            assert not coming, lines
            coming = True
        elif "Started" in line:
            coming = False


STREAMS = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"


def test_open_streams_do_not_hold_up_a_reload(serve):
    """Only the first of two workers was replaced."""
    service = serve(LIFESPAN, "--workers", "2", "--drain-timeout", "2", interface="asgi")
    service.wait_line("Started worker-2")
    wires = [service.connect().send(STREAMS) for _ in range(8)]
    for wire in wires:
        assert wire.head().status == 200
    service.signal(signal.SIGHUP)
    wait_count(service, "Started worker-", 4, timeout=1.5)
    wait_count(service, "Stopped old worker-", 2, timeout=4)
    for wire in wires:
        wire.close()
    service.stop()


def test_stuck_worker_is_replaced(serve):
    source = """
        import time

        async def app(scope, receive, send):
            if scope["path"] == "/stuck":
                print("stuck", flush=True)
                time.sleep(1000)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})
    """
    service = serve(source, "--hang-timeout", "1")
    with service.connect() as wire:
        wire.request("GET", "/stuck")
        service.wait_line("stuck for 1 s")
        wait_count(service, "Started worker-1", 2)
    assert re.search(r'File ".*main.py", line 7 in app', service.log()), service.log()
    assert "Task" in service.log()
    assert service.get("/").text == "hello"
    service.stop()


def test_idle_worker_is_not_stuck(serve):
    service = serve(HELLO, "--hang-timeout", "1")
    with pytest.raises(AssertionError):
        service.wait_line("stuck", timeout=2)
    service.stop()


def test_more_and_fewer_workers(serve):
    service = serve(HELLO)
    with Load(service) as load:
        for round in range(3):
            service.signal(signal.SIGTTIN)
            wait_count(service, "Started worker-2", round + 1)
            load.wait_answers(50)
            service.signal(signal.SIGTTOU)
            wait_count(service, "Stopped worker-2", round + 1)
            load.wait_answers(50)
    service.signal(signal.SIGTTOU)
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-1", 1)
    assert service.get("/").status == 200
    service.stop()


LIMITS = """
    import dataclasses, os, sys
    from granian import Granian

    hoard = []

    async def app(scope, receive, send):
        if scope["path"] == "/grow":
            hoard.append(b"x" * 200_000_000)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})

    if __name__ == "__main__":
        server = Granian("main:app", interface="asginl", port=0)
        # Shorter than the options allow.
        server.config = dataclasses.replace(server.config, **eval(sys.argv[1]))
        server.serve()
"""


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ("dict(workers_lifetime=1)", "worker-1 lifetime expired, gracefully respawning.."),
        ("dict(workers_max_rss=150, rss_sample_interval=0.2)", "worker-1 RSS over threshold, gracefully respawning.."),
    ],
)
def test_limits(program, limits, line):
    service = program(LIMITS, limits)
    service.wait_ready()
    if "rss" in limits:
        assert service.get("/grow").status == 200
    wait_count(service, "Stopped old worker-1", 1)
    service.stop()
    assert f"[INFO] {line}" in service.lines()


def test_dump(serve):
    service = serve(HELLO)
    service.signal(signal.SIGUSR2)
    service.wait_line("0 connections, 0 requests in flight")
    service.wait_line("granian-worker")
    service.stop()


def test_dump_of_a_service_that_stops(serve):
    """It was ignored when it was wanted most."""
    source = """
        import asyncio

        async def app(scope, receive, send):
            print("waiting", flush=True)
            await wait_for_ever()

        async def wait_for_ever():
            await asyncio.Event().wait()
    """
    service = serve(source, "--drain-timeout", "20")
    with service.connect() as wire:
        wire.request("GET", "/")
        service.wait_line("waiting")
        service.signal(signal.SIGTERM)
        service.wait_line("Stopping worker-1")
        service.signal(signal.SIGUSR2)
        service.wait_line("1 connections, 1 requests in flight")
        service.wait_line("in wait_for_ever")
        service.signal(signal.SIGTERM)
        assert service.wait_exit() == 0


def test_log_files_of_a_service_that_stops(serve, tmp_path):
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "log")}
    (tmp_path / "log.json").write_text(json.dumps({"handlers": {"file": handler}, "root": {"handlers": ["file"]}}))
    service = serve(LIFESPAN, "--log-config", "log.json", "--drain-timeout", "20")
    with service.connect() as wire:
        assert wire.send(STREAMS).head().status == 200
        service.signal(signal.SIGTERM)
        service.wait_line("Stopping worker-1")
        shutil.move(tmp_path / "log", tmp_path / "log.1")
        service.signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while not (tmp_path / "log").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        service.signal(signal.SIGTERM)
        assert service.wait_exit() == 0


WEBSOCKET = """
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            return await send({"type": "http.response.body", "body": b""})
        await receive()
        await send({"type": "websocket.accept"})
        print(await receive(), flush=True)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_websockets_of_a_replaced_worker(serve, loop):
    """1012 asks the client to come again, 1001 says that nobody will be there (IANA's list of close codes)."""
    service = serve(WEBSOCKET, "--loop", loop)
    for number in range(1, 4):
        with open_websocket(service) as websocket:
            service.signal(signal.SIGHUP)
            assert websocket.closed() == (1012, "server is restarting")
            websocket.wire.send(close_frame(1012))
            wait_count(service, "'code': 1012, 'reason': 'server is restarting'", number)
        wait_count(service, "Stopped old worker-1", number)
    with open_websocket(service) as websocket:
        service.signal(signal.SIGTERM)
        assert websocket.closed() == (1001, "server is stopping")
    assert service.wait_exit() == 0


UPSTREAM = """
    import asyncio, os

    async def echo(reader, writer):
        writer.write(await reader.read(100))
        writer.close()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            global upstream
            upstream = await asyncio.start_server(echo, "127.0.0.1", 0)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return await send({"type": "lifespan.shutdown.complete"})
        reader, writer = await asyncio.open_connection(*upstream.sockets[0].getsockname())
        writer.write(b"from upstream")
        body = await asyncio.to_thread(bytes, await reader.read())
        writer.close()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_calls_of_an_upstream(serve, loop):
    """Some of the workers that had such calls never ended (#875)."""
    service = serve(UPSTREAM, "--workers", "2", "--loop", loop, interface="asgi")
    service.wait_line("Started worker-2")
    with Load(service, clients=20) as load:
        for number in range(1, 11):
            service.signal(signal.SIGHUP)
            wait_count(service, "Stopped old worker-", number * 2)
            load.wait_answers(20)
    service.stop()
    assert "Killing" not in service.log()


THREADS = """
    import os, threading
    from granian.server.mt import MTServer

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % threading.get_ident()})

    if __name__ == "__main__":
        # A build with a GIL refuses; the rest is the same.
        MTServer._check = lambda self: None
        MTServer("main:app", interface="asginl", port=0, workers=3).serve()
"""


def test_threads_under_load(program):
    """A descriptor or a listener went while other threads used it (#859, #746, #556)."""
    service = program(THREADS)
    service.wait_ready()
    wait_count(service, "Started worker-", 3)
    with Load(service) as load:
        for number in range(1, 11):
            service.signal(signal.SIGHUP)
            wait_count(service, "Stopped old worker-", number * 3)
            load.wait_answers(20)
    descriptors = len(os.listdir(f"/proc/{service.process.pid}/fd"))
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-", 33)
    assert len(os.listdir(f"/proc/{service.process.pid}/fd")) <= descriptors
    service.stop()
    assert "Traceback" not in service.log()


KEPT_SOCKET = """
    import os, signal, socket, subprocess, sys

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getppid()})

    if __name__ == "__main__":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        kept = socket.socket()
        kept.bind(("127.0.0.1", 0))
        kept.listen(1024)
        command = [sys.executable, "-m", "granian", "--interface", "asginl", "--fd", str(kept.fileno()), "main:app"]
        for _ in range(4):
            server = subprocess.Popen(command, pass_fds=[kept.fileno()])
            print("served by", server.pid, flush=True)
            signal.sigwait({signal.SIGUSR1})
            server.terminate()
            assert server.wait() == 0
        print("over", flush=True)
"""


def test_restart_on_a_kept_socket(program):
    """With the socket in other hands (`Sockets=` of systemd) a restart loses nothing (#786)."""
    service = program(KEPT_SOCKET)
    service.wait_ready()
    with Load(service) as load:
        for number in range(1, 4):
            service.signal(signal.SIGUSR1)
            wait_count(service, "served by", number + 1)
            load.wait_answer(re.findall(r"served by (\d+)", service.log())[number])
    service.signal(signal.SIGUSR1)
    service.wait_line("over")


def test_every_worker_serves(serve):
    """Connections spread over the workers."""
    service = serve(HELLO, "--workers", "4")
    wait_count(service, "Started worker-", 4)
    with Load(service) as load:
        load.wait_answers(800)
    assert len(load.answers) == 4
    assert min(load.answers.values()) > 100
    assert all(is_alive(pid) for pid in service.pids())
    service.stop()


def test_every_worker_serves_after_a_crash(serve):
    """The worker that had stood in went on accepting from two queues: 281 and 119 connections, with two workers."""
    service = serve(HELLO, "--workers", "2")
    wait_count(service, "Started worker-", 2)
    os.kill(service.pids()[1], signal.SIGKILL)
    wait_count(service, "Started worker-", 3)
    first, _, second = service.pids()
    with Load(service) as load:
        load.wait_answer(str(second))
        load.answers.clear()
        load.wait_answers(800)
    assert load.answers[str(first)] < 1.3 * load.answers[str(second)]
    service.stop()


def test_log_directory_that_is_gone_ends_nothing(serve, tmp_path):
    (tmp_path / "logs").mkdir()
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "logs" / "log")}
    (tmp_path / "log.json").write_text(json.dumps({"handlers": {"file": handler}, "root": {"handlers": ["file"]}}))
    service = serve(HELLO, "--log-config", "log.json")
    shutil.rmtree(tmp_path / "logs")
    service.signal(signal.SIGUSR1)
    wait_count(service, "cannot be opened anew", 2)
    assert service.get("/").status == 200


def test_unreadable_environment_ends_nothing(serve, tmp_path):
    pytest.importorskip("dotenv")
    (tmp_path / "env").write_text("A=1")
    service = serve(HELLO, "--env-files", "env")
    (tmp_path / "env").write_bytes(b"A=\xff")
    service.signal(signal.SIGHUP)
    service.wait_line("the variables stay as they were")
    wait_count(service, "Started worker-1", 2)
    assert service.get("/").status == 200
