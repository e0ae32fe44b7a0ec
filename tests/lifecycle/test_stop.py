"""A stop ends in time and in order, whatever is open."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from e2e.wire import Wire

from .conftest import wait_count, write_app

DRAIN = 1
# Seconds that a stop may take beyond the drain.
BEYOND = 1.0

APP = """
    import asyncio, os, threading, time

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["pool"] = "open"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print(f"shutdown with {scope['state']}\\n", end="", flush=True)
            return await send({"type": "lifespan.shutdown.complete"})
        path = scope["path"]
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            print(f"websocket {message}\\n", end="", flush=True)
            while path == "/deaf":
                await asyncio.sleep(0.01)
            return
        if path == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"data: x\\n\\n", "more_body": True})
                await asyncio.sleep(0.05)
        if path == "/loop":
            print("looping", flush=True)
            while True:
                await asyncio.sleep(0.01)
        if path == "/stubborn":
            print("stubborn", flush=True)
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
        if path == "/blocked":
            print("blocked", flush=True)
            time.sleep(60)
        if path == "/spin":
            print("spinning", flush=True)
            while True:
                pass
        if path == "/thread":
            threading.Thread(target=time.sleep, args=(60,), name="stuck").start()
        if path == "/executor":
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
        if path == "/background":
            tasks.add(asyncio.create_task(background(0.3)))
        if path == "/endless":
            tasks.add(asyncio.create_task(background(60)))
        if path == "/moment":
            print("a moment", flush=True)
            await asyncio.sleep(0.5)
        if path == "/body":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    tasks = set()

    async def background(seconds):
        try:
            await asyncio.sleep(seconds)
            print("background done", flush=True)
        except asyncio.CancelledError:
            print("background cancelled", flush=True)
            raise
"""
LIFESPAN_END = "shutdown with {'pool': 'open'}"


def slack() -> float:
    """What a machine with more to do than it can adds to every time."""
    return 2.0 if os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1) else 0.0


def stop(service, within: float, number: int = signal.SIGTERM) -> None:
    started = time.monotonic()
    service.signal(number)
    assert service.wait_exit(within + 5) == 0, service.log()
    took = time.monotonic() - started
    assert took < within + slack(), f"{took:.2f} s\n{service.log()}"
    service.wait_gone()
    assert "Traceback" not in service.log(), service.log()


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop(request) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def service(serve, event_loop):
    return serve(APP, "--drain-timeout", str(DRAIN), "--loop", event_loop, interface="asgi")


UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
# The preface, empty settings, and nothing any more: neither an acknowledgement nor an answer to a PING.
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
# HEADERS with END_HEADERS and END_STREAM: GET, http, :authority x, and the path to come.
FIELDS = bytes([0x82, 0x86, 0x01, 1]) + b"x" + bytes([0x04])


def http2_get(path: bytes) -> bytes:
    block = FIELDS + bytes([len(path)]) + path
    return HTTP2 + bytes([0, 0, len(block), 1, 5, 0, 0, 0, 1]) + block


OPEN = {
    "silence": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "half a body": b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
    "stream": b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
    "loop": b"GET /loop HTTP/1.1\r\nHost: x\r\n\r\n",
    "stubborn": b"GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n",
    "blocked": b"GET /blocked HTTP/1.1\r\nHost: x\r\n\r\n",
    "spin": b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n",
    "websocket": UPGRADE.format("/").encode(),
    "deaf websocket": UPGRADE.format("/deaf").encode(),
    "half a preface": HTTP2[:10],
    "HTTP/2": HTTP2,
    "HTTP/2 stream": http2_get(b"/stream"),
    "HTTP/2 loop": http2_get(b"/loop"),
}
# Requests that are open once the first bytes of the answer have come.
ANSWERED = ("stream", "websocket", "deaf websocket", "HTTP/2", "HTTP/2 stream")
SIGNS = {
    "loop": "looping",
    "stubborn": "stubborn",
    "blocked": "blocked",
    "spin": "spinning",
    "HTTP/2 loop": "looping",
}


@pytest.mark.parametrize("what", OPEN)
def test_open_connections(service, what):
    with service.connect() as wire:
        if OPEN[what]:
            wire.send(OPEN[what])
        if what in ANSWERED:
            assert wire.exactly(1)
        if what in SIGNS:
            service.wait_line(SIGNS[what])
        stop(service, DRAIN + BEYOND)
        if what == "websocket":
            # RFC 6455, 7.4.1: 1001 says that the endpoint goes away.
            assert re.search(rb"\x88.\x03\xe9", wire.rest())
    if "websocket" in what:
        assert "websocket {'type': 'websocket.disconnect', 'code': 1001" in service.log(), service.log()
    if what not in ("blocked", "spin", "stubborn"):
        assert LIFESPAN_END in service.log(), service.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle(service, number):
    with service.connect() as idle:
        assert idle.request("GET", "/").response().status == 200
        stop(service, 1.0, number)
        assert idle.rest() == b""
    assert LIFESPAN_END in service.log(), service.log()


def test_idle_http2_client_that_leaves_closing_to_the_server(serve, event_loop):
    """It acknowledged GOAWAY and PING, and the stop took 2 s."""
    service = serve(APP, "--loop", event_loop, interface="asgi")
    acknowledged = {4: bytes([0, 0, 0, 4, 1, 0, 0, 0, 0]), 6: bytes([0, 0, 8, 6, 1, 0, 0, 0, 0])}
    with service.connect() as wire:
        wire.send(http2_get(b"/"))
        stopped, kinds = 0.0, []
        # GOAWAY and PING, and when that is acknowledged the last GOAWAY.
        while kinds[-3:] != [7, 6, 7]:
            head = wire.exactly(9)
            kind, flags = head[3], head[4]
            payload = wire.exactly(int.from_bytes(head[:3], "big"))
            kinds.append(kind)
            if kind in acknowledged and not flags & 1:
                wire.send(acknowledged[kind] + (payload if kind == 6 else b""))
            if kind == 0 and flags & 1:
                stopped = time.monotonic()
                service.signal(signal.SIGTERM)
        assert wire.rest() == b""
        # The client's side of the connection is still open.
        assert service.wait_exit() == 0
        assert time.monotonic() - stopped < 1.0 + slack()


@pytest.mark.parametrize("path", ["/thread", "/executor"])
def test_stuck_threads(service, path):
    """A non-daemon thread of the application blocked the master (#293, #435)."""
    assert service.get(path).status == 200
    stop(service, DRAIN + BEYOND)
    assert LIFESPAN_END in service.log(), service.log()


def test_background_tasks_get_the_drain_time(service):
    assert service.get("/background").status == 200
    stop(service, DRAIN + BEYOND)
    assert service.log().index("background done") < service.log().index(LIFESPAN_END)


def test_background_tasks_are_cancelled_in_the_end(service):
    assert service.get("/endless").status == 200
    stop(service, DRAIN + BEYOND)
    # After the application's own end: it may hold them, as a task group of its lifespan does.
    assert service.log().index(LIFESPAN_END) < service.log().index("background cancelled")


POLLER = """
    import asyncio

    async def poll():
        while True:
            await asyncio.sleep(0.05)

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            poller = asyncio.create_task(poll())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print(f"poller runs: {not poller.done()}\\n", end="", flush=True)
            poller.cancel()
            await send({"type": "lifespan.shutdown.complete"})
"""


def test_tasks_of_the_lifespan_are_its_own(serve, event_loop):
    """What the application has started for its whole life neither delays the stop nor ends before it."""
    service = serve(POLLER, "--drain-timeout", "20", "--loop", event_loop, interface="asgi")
    stop(service, 1.0)
    assert "poller runs: True" in service.log(), service.log()


@pytest.mark.parametrize("what", ["stream", "loop", "stubborn", "blocked", "spin"])
def test_second_signal(serve, event_loop, what):
    """Nothing but SIGKILL helped."""
    service = serve(APP, "--loop", event_loop, "--workers", "2", interface="asgi")
    service.wait_line("Started worker-2")
    with service.connect() as wire:
        wire.send(OPEN[what])
        if what == "stream":
            assert wire.head().status == 200
        else:
            service.wait_line(SIGNS[what])
        service.signal(signal.SIGTERM)
        service.wait_line("Shutting down granian")
        service.wait_line("Stopped worker-")
        stop(service, 1.0, signal.SIGINT)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_new_clients_are_refused_while_requests_finish(serve, launch, tmp_path, kind):
    """They waited in the queue of a worker that accepted no more, to be reset in the end."""
    options = ("--uds", str(tmp_path / "socket")) if kind == "unix" else ()
    start = launch if kind == "unix" else serve
    service = start(APP, "--workers", "2", "--drain-timeout", "20", *options, interface="asgi")
    wait_count(service, "Started worker-", 2)
    address = str(tmp_path / "socket") if kind == "unix" else service.address
    with Wire(address) as wire:
        wire.request("GET", "/loop")
        service.wait_line("looping")
        service.signal(signal.SIGTERM)
        wait_count(service, "Stopping worker-", 2)
        deadline = time.monotonic() + 5
        with pytest.raises(ConnectionRefusedError):
            while time.monotonic() < deadline:
                Wire(address).close()
                time.sleep(0.01)
        stop(service, 1.0)


def test_requests_in_the_queue_at_the_stop_are_served(serve):
    service = serve(APP, "--workers", "2", interface="asgi")
    wait_count(service, "Started worker-", 2)
    pids = service.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wires = [service.connect().send(b"GET /moment HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(300)]
    service.signal(signal.SIGTERM)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    for wire in wires:
        assert wire.response().status == 200
        wire.close()
    assert service.wait_exit() == 0


THREADS = """
    import threading, time
    from granian.server.mt import MTServer

    async def app(scope, receive, send):
        print("blocked", flush=True)
        time.sleep(60)

    if __name__ == "__main__":
        # A build with a GIL refuses; the rest is the same.
        MTServer._check = lambda self: None
        MTServer("main:app", interface="asginl", port=0, drain_timeout=1).serve()
"""


def test_stuck_thread_of_a_worker(program):
    """The stop waited for ever: a thread cannot be killed, and its being given up woke nobody."""
    service = program(THREADS)
    service.wait_ready()
    with service.connect() as wire:
        wire.request("GET", "/")
        service.wait_line("blocked")
        stop(service, 2.5)


ON_A_THREAD = """
    import os, threading, time
    from granian import Granian

    if __name__ != "__main__" and os.fork() == 0:
        time.sleep(30)
        os._exit(0)

    async def app(scope, receive, send): ...

    if __name__ == "__main__":
        server = Granian("main:app", interface="asginl", port=0)
        thread = threading.Thread(target=server.serve)
        thread.start()
        os.read(0, 1)
        started = time.monotonic()
        server.stop()
        thread.join()
        print(f"took {time.monotonic() - started:.1f}", flush=True)
        os._exit(0)
"""


def test_children_of_the_application_do_not_hold_up_a_stop(tmp_path):
    """On a thread, nothing but the worker's pipes tells of its end, and its children have them as well."""
    write_app(tmp_path, ON_A_THREAD)
    command = [sys.executable, "main.py"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            while "Started" not in (line := server.stdout.readline()):
                assert line
            server.stdin.write("\n")
            server.stdin.flush()
            while not (line := server.stdout.readline()).startswith("took"):
                assert line
            assert float(line.split()[1]) < 2 + slack()
        finally:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_group_signal(serve, number):
    """Ctrl-C and systemd's stop go to all processes at once: no crash of the workers, and no second signal for them."""
    service = serve(APP, "--workers", "3", interface="asgi")
    wait_count(service, "Started worker-", 3)
    with service.connect() as wire:
        wire.request("GET", "/moment")
        service.wait_line("a moment")
        os.killpg(service.process.pid, number)
        assert wire.response().status == 200
    assert service.wait_exit() == 0
    assert "Unexpected" not in service.log(), service.log()
    assert service.log().count(LIFESPAN_END) == 3, service.log()


def test_group_signal_while_workers_start(launch):
    """They end by it at once, before the supervisor can tell them to."""
    service = launch("print('importing', flush=True); import time; time.sleep(60)", "--workers", "3")
    wait_count(service, "importing", 3)
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.wait_exit() == 0
    assert "could not start" not in service.log(), service.log()


def test_second_group_signal(serve):
    service = serve(APP, "--workers", "2", interface="asgi")
    wait_count(service, "Started worker-", 2)
    with service.connect() as wire:
        wire.send(OPEN["loop"])
        service.wait_line("looping")
        os.killpg(service.process.pid, signal.SIGINT)
        service.wait_line("Shutting down granian")
        started = time.monotonic()
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.wait_exit() == 0
        assert time.monotonic() - started < 1 + slack()
    assert service.log().count(LIFESPAN_END) == 2, service.log()


@pytest.mark.parametrize("code", [0, 3])
def test_forced_end_keeps_the_exit_code(code):
    source = f"""
import threading
from granian.worker.exit import ExitGuard

threading.Thread(target=threading.Event().wait).start()
ExitGuard(lambda: {code}).arm(0.05)
"""
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=10)
    assert ended.returncode == code, ended.stderr


@pytest.mark.parametrize(
    ("options", "last_words"),
    [
        ((), "shutdown with {'pool': 'open'}"),
        (("--drain-timeout", "30"), "Killing worker-1 after it refused to gracefully stop"),
    ],
)
def test_kill_timeout(serve, options, last_words):
    """Alone it leaves the worker a moment to end in order."""
    service = serve(APP, "--workers-kill-timeout", "1", *options, interface="asgi")
    with service.connect() as wire:
        wire.send(OPEN["loop"])
        service.wait_line("looping")
        stop(service, 2.0)
    assert last_words in service.log(), service.log()


def test_stuck_worker_does_not_delay_the_others(serve):
    service = serve(APP, "--workers", "4", "--drain-timeout", "1", interface="asgi")
    wait_count(service, "Started worker-", 4)
    with service.connect() as wire:
        wire.send(OPEN["spin"])
        service.wait_line("spinning")
        stop(service, DRAIN + BEYOND)
    assert service.log().count(LIFESPAN_END) == 3, service.log()


def test_stop_while_workers_are_replaced(serve):
    """The master sat in a join and did not hear the signal."""
    service = serve(APP, "--workers", "2", "--drain-timeout", "1", interface="asgi")
    service.wait_line("Started worker-2")
    with service.connect() as wire:
        wire.send(OPEN["loop"])
        service.wait_line("looping")
        service.write("import time; print('importing', flush=True); time.sleep(60)")
        service.signal(signal.SIGHUP)
        service.wait_line("importing")
        stop(service, DRAIN + BEYOND)


WSGI = """
    import time

    def app(environ, start_response):
        print("called", flush=True)
        time.sleep(60 if environ["PATH_INFO"] == "/slow" else 0)
        start_response("200 OK", [("content-length", "2")])
        return [b"ok"]
"""


@pytest.mark.parametrize("threads", ["1", "4"])
def test_stuck_wsgi_thread(serve, threads):
    service = serve(WSGI, "--drain-timeout", "1", "--blocking-threads", threads, interface="wsgi")
    with service.connect() as wire:
        wire.request("GET", "/slow")
        service.wait_line("called")
        stop(service, DRAIN + BEYOND)


RSGI = """
    class App:
        def __rsgi_init__(self, loop):
            print(f"init {loop.is_running()}", flush=True)

        def __rsgi_del__(self, loop):
            print(f"del {loop.is_running()}", flush=True)

        async def __rsgi__(self, scope, protocol):
            protocol.response_str(200, [], "hello")

    app = App()
"""


def test_rsgi_callbacks(serve):
    service = serve(RSGI, interface="rsgi")
    assert service.get("/").text == "hello"
    stop(service, 1.0)
    assert "init False" in service.log(), service.log()
    assert "del False" in service.log(), service.log()


HOOKS = """
    from granian import Granian

    async def app(scope, receive, send): ...

    if __name__ == "__main__":
        server = Granian("main:app", interface="asginl", port=0)
        for name in ("startup", "reload", "shutdown"):
            getattr(server, f"on_{name}")(lambda name=name: print(f"hook {name}", flush=True))
        server.serve()
"""


def test_hooks(program):
    service = program(HOOKS)
    service.wait_ready()
    service.signal(signal.SIGHUP)
    service.wait_line("Stopped old worker-1")
    service.stop()
    lines = service.lines()
    assert [line for line in lines if line.startswith("hook")] == ["hook startup", "hook reload", "hook shutdown"]
    assert lines.index("hook startup") < next(i for i, line in enumerate(lines) if "Spawning" in line)
    assert lines.index("hook shutdown") > lines.index("[INFO] Stopped worker-1")


RAISING = """
    import sys
    from granian import Granian

    async def app(scope, receive, send): ...

    if __name__ == "__main__":
        server = Granian("main:app", interface="asginl", uds="socket", pid_file="pid")

        @getattr(server, f"on_{sys.argv[1]}")
        def hook():
            raise ValueError("in a hook")

        server.serve()
"""


@pytest.mark.parametrize("when", ["startup", "reload", "shutdown"])
def test_raising_hook_leaves_nothing_behind(program, when):
    service = program(RAISING, when)
    if when != "startup":
        service.wait_line("Started worker-1")
        service.signal(signal.SIGHUP if when == "reload" else signal.SIGTERM)
    assert service.wait_exit() == 1
    assert "ValueError: in a hook" in service.log(), service.log()
    assert not (service.spec.cwd / "socket").exists()
    assert not (service.spec.cwd / "pid").exists()
    service.wait_gone()


def test_a_signal_wakes_the_loop(serve, event_loop):
    """Without a descriptor for wake-ups, one that came just before the loop slept went unseen until the next event."""
    app = """
        import signal

        async def app(scope, receive, send):
            descriptor = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(descriptor)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"none" if descriptor == -1 else b"some"})
    """
    service = serve(app, "--loop", event_loop, interface="asginl")
    with service.connect() as wire:
        assert wire.request("GET", "/").response().body == b"some"
    stop(service, 1)
