"""Processes, threads and signals of the application's own: they work as anywhere else, and hold up no stop."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from .conftest import is_alive, wait_count
from .test_leftovers import check_clean
from .test_stop import slack, stop

METHODS = multiprocessing.get_all_start_methods()
# A stop with default options, with something of the application's still running.
BOUND = 2.0

LEFT = """
    import asyncio, concurrent.futures, multiprocessing, threading, time

    kept = []

    def child():
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), name="left-child")
        process.start()
        return str(process.pid)

    def daemonic_child():
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True).start()

    def spawned_child():
        multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), name="left-child").start()

    def thread():
        threading.Thread(target=time.sleep, args=(60,), name="left-thread").start()

    def job():
        kept.append(concurrent.futures.ThreadPoolExecutor(thread_name_prefix="left-job"))
        kept[-1].submit(time.sleep, 60)

    def pool():
        kept.append(multiprocessing.get_context("fork").Pool(2))
        kept[-1].apply_async(time.sleep, (60,))

    def process_job():
        kept.append(concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")))
        kept[-1].submit(time.sleep, 60)
        time.sleep(0.2)

    def start(path):
        return globals()[path[1:]]() or "ok"

    def wsgi(environ, start_response):
        body = start(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [body.encode()]

    async def asgi(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("shutdown", flush=True)
            return await send({"type": "lifespan.shutdown.complete"})
        if scope["path"] == "/default_job":
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
            body = "ok"
        else:
            body = start(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body.encode()})

    async def rsgi(scope, protocol):
        protocol.response_str(200, [], start(scope.path))
"""
# What the log says of it.
LEFT_BEHIND = {
    "child": r"Telling left-child \(PID \d+\) to end",
    "spawned_child": r"Telling left-child \(PID \d+\) to end",
    "daemonic_child": None,
    "thread": "Leaving without waiting for thread left-thread",
    "job": "Leaving without waiting for thread left-job_0",
    "pool": None,
    "process_job": r"Telling ForkProcess-[\d:]+ \(PID \d+\) to end",
}


def check_left(service, what: str, within: float = BOUND) -> None:
    stop(service, within)
    assert "event loop" not in service.log(), service.log()
    if LEFT_BEHIND[what]:
        assert re.search(LEFT_BEHIND[what], service.log()), service.log()


@pytest.mark.parametrize("what", LEFT_BEHIND)
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_left_behind(serve, interface, what):
    """An idle server took 30.9 s to stop, and the log blamed the event loop."""
    options = ("--blocking-threads", "1") if interface == "wsgi" else ()
    service = serve(LEFT, *options, interface=interface, target=f"main:{interface}")
    assert service.get(f"/{what}").status == 200
    check_left(service, what)
    if interface == "asgi":
        assert "shutdown" in service.log(), service.log()


@pytest.mark.parametrize("what", ["child", "thread", "job", "process_job"])
def test_left_behind_by_threads_of_wsgi(serve, what):
    """The pool's threads were daemonic, so that their threads were, and nobody waited for what a handler had begun."""
    service = serve(LEFT, "--blocking-threads", "4", interface="wsgi", target="main:wsgi")
    assert service.get(f"/{what}").status == 200
    check_left(service, what)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_thread_that_ends_gets_its_time(serve, number):
    source = """
        import threading, time

        def work():
            time.sleep(0.5)
            print("worked", flush=True)

        def app(environ, start_response):
            threading.Thread(target=work).start()
            start_response("200 OK", [])
            return [b"ok"]
    """
    service = serve(source, "--blocking-threads", "4", interface="wsgi")
    assert service.get("/").status == 200
    service.signal(number)
    service.wait_line("worked")
    if number == signal.SIGHUP:
        service.wait_line("Stopped old worker-1")
        service.signal(signal.SIGTERM)
    assert service.wait_exit() == 0
    assert "[WARNING]" not in service.log(), service.log()


@pytest.mark.parametrize("options", [("--blocking-threads", "4"), ()])
def test_idle_threads_of_the_pool_end(serve, options):
    service = serve(LEFT, *options, interface="wsgi", target="main:wsgi")
    assert service.get("/daemonic_child").status == 200
    check_clean(service, 1.0)


def test_left_behind_by_rsgi(serve):
    service = serve(LEFT, "--loop", "uvloop", interface="rsgi", target="main:rsgi")
    child = int(service.get("/child").text)
    check_left(service, "child")
    assert not is_alive(child)


def test_a_job_of_the_loops_own_executor(serve):
    service = serve(LEFT, interface="asgi", target="main:asgi")
    assert service.get("/default_job").status == 200
    stop(service, BOUND)
    assert "Leaving without waiting for thread asyncio_0" in service.log(), service.log()
    assert "shutdown" in service.log(), service.log()


def test_left_behind_by_a_worker_that_is_replaced(serve):
    service = serve(LEFT, interface="wsgi", target="main:wsgi")
    child = int(service.get("/child").text)
    service.signal(signal.SIGHUP)
    service.wait_line("Stopping old worker-1")
    service.wait_line("Stopped old worker-1", timeout=BOUND + 1)
    assert not is_alive(child)
    stop(service, 1.0)


OWN = """
    import asyncio, os, signal, sys

    def take():
        match os.environ["HOW"]:
            case "loop":
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
            case "handler":
                signal.signal(signal.SIGTERM, lambda *arguments: None)
            case "ignored":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "blocked":
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            case "exit":
                signal.signal(signal.SIGTERM, lambda *arguments: sys.exit(3))
            case "interrupt":
                signal.signal(signal.SIGTERM, signal.default_int_handler)

    async def asgi(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if os.environ.get("WHEN") == "startup":
                take()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("shutdown", flush=True)
            return await send({"type": "lifespan.shutdown.complete"})
        take()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def wsgi(environ, start_response):
        take()
        start_response("200 OK", [])
        return [b"ok"]
"""
HOW = ["loop", "handler", "ignored", "blocked", "exit", "interrupt"]


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop(request) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.mark.parametrize("when", ["startup", "request"])
@pytest.mark.parametrize("how", HOW)
def test_an_application_that_takes_the_signal(serve, monkeypatch, event_loop, how, when):
    """The worker was killed after 31 s, without a lifespan shutdown."""
    monkeypatch.setenv("HOW", how)
    monkeypatch.setenv("WHEN", when)
    service = serve(OWN, "--loop", event_loop, interface="asgi", target="main:asgi")
    assert service.get("/").status == 200
    check_clean(service, BOUND)
    assert "shutdown" in service.log(), service.log()


@pytest.mark.parametrize("how", ["handler", "blocked", "exit"])
def test_a_wsgi_application_that_takes_the_signal(serve, monkeypatch, how):
    monkeypatch.setenv("HOW", how)
    service = serve(OWN, "--blocking-threads", "1", interface="wsgi", target="main:wsgi")
    assert service.get("/").status == 200
    check_clean(service, BOUND)


@pytest.mark.parametrize("how", HOW)
def test_a_replaced_worker_that_takes_the_signal(serve, monkeypatch, how):
    """SIGHUP left both workers."""
    monkeypatch.setenv("HOW", how)
    service = serve(OWN, interface="asgi", target="main:asgi")
    assert service.get("/").status == 200
    service.signal(signal.SIGHUP)
    service.wait_line("Stopping old worker-1")
    service.wait_line("Stopped old worker-1", timeout=BOUND + 1)
    assert "shutdown" in service.log(), service.log()
    check_clean(service, BOUND)


def test_an_application_that_takes_usr1(serve, tmp_path):
    """Its log files were not opened anew."""
    source = """
        import logging, signal
        logging.getLogger("own").addHandler(logging.FileHandler("own.log"))

        async def app(scope, receive, send):
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            logging.getLogger("own").error("line")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
    """
    service = serve(source)
    assert service.get("/").status == 200
    os.rename(tmp_path / "own.log", tmp_path / "old.log")
    service.signal(signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while not (tmp_path / "own.log").exists():
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.01)
    service.stop()


SETS_METHOD = """
    import multiprocessing
    multiprocessing.set_start_method("{method}")

    async def app(scope, receive, send):
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": multiprocessing.get_start_method().encode()}})
"""


@pytest.mark.parametrize("options", [(), ("--preload",), ("--reload",), ("--workers", "2")])
@pytest.mark.parametrize("method", METHODS)
def test_a_start_method_of_the_applications_own(serve, method, options):
    """ "context has already been set" ended the start."""
    service = serve(SETS_METHOD.format(method=method), *options)
    wait_count(service, "Started worker-", 2 if "--workers" in options else 1)
    assert service.get("/").text == method
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-", 2 if "--workers" in options else 1)
    assert service.get("/").text == method
    service.stop()


SERVER = """
    import multiprocessing, sys
    from granian import Granian

    if __name__ == "__main__":
        # What Python 3.14 does by itself, and other systems.
        multiprocessing.context._default_context = multiprocessing.context.DefaultContext(
            multiprocessing.get_context(sys.argv[1])
        )
        methods = multiprocessing.get_all_start_methods()
        methods.insert(0, methods.pop(methods.index(sys.argv[1])))
        multiprocessing.get_all_start_methods = lambda: methods
        multiprocessing.get_start_method = multiprocessing.context._default_context.get_start_method
        multiprocessing.set_start_method = multiprocessing.context._default_context.set_start_method
        Granian("own:app", interface="asginl", port=0).serve()
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("default", METHODS)
def test_a_start_method_of_the_applications_own_under_others(program, tmp_path, default, method):
    (tmp_path / "own.py").write_text(
        "import multiprocessing\n"
        f"multiprocessing.set_start_method({method!r})\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': multiprocessing.get_start_method().encode()})\n"
    )
    service = program(SERVER, default)
    service.wait_ready()
    assert service.get("/").text == method
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-", 1)
    assert service.get("/").text == method
    service.stop()


TERMINATES = """
    import multiprocessing, os, signal, time

    def handlers(queue):
        numbers = ("SIGTERM", "SIGINT", "SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2", "SIGCHLD")
        defaults = (signal.SIG_DFL, signal.default_int_handler)
        found = [name for name in numbers if signal.getsignal(getattr(signal, name)) not in defaults]
        queue.put((found, signal.set_wakeup_fd(-1), sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))))

    def run(path):
        context = multiprocessing.get_context("fork")
        if path == "/terminate":
            # At once, and later: the signal may come before the child has got anywhere.
            codes = []
            for wait in (0, 0, 0, 0.2):
                child = context.Process(target=time.sleep, args=(30,))
                child.start()
                time.sleep(wait)
                child.terminate()
                child.join(3)
                codes.append(child.exitcode)
                child.kill()
            return str(codes)
        if path == "/pool":
            with context.Pool(2) as pool:
                pool.map(abs, [1, 2])
                begun = time.monotonic()
            pool.join()
            return f"{time.monotonic() - begun < 5}"
        if path == "/usr2":
            child = context.Process(target=time.sleep, args=(30,))
            child.start()
            time.sleep(0.2)
            os.kill(child.pid, signal.SIGUSR2)
            child.join(3)
            return str(child.exitcode)
        queue = context.SimpleQueue()
        child = context.Process(target=handlers, args=(queue,))
        child.start()
        child.join()
        return str(queue.get())

    async def asgi(scope, receive, send):
        body = run(scope["path"]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def wsgi(environ, start_response):
        body = run(environ["PATH_INFO"]).encode()
        start_response("200 OK", [])
        return [body]

    async def rsgi(scope, protocol):
        protocol.response_str(200, [], run(scope.path))
"""
SERVED = [
    ("asgi", "asginl", ("--loop", "asyncio")),
    ("asgi", "asginl", ("--loop", "uvloop")),
    ("rsgi", "rsgi", ()),
    ("wsgi", "wsgi", ("--blocking-threads", "1")),
    ("wsgi", "wsgi", ("--blocking-threads", "4")),
]


@pytest.mark.parametrize(("target", "interface", "options"), SERVED)
def test_forks_can_be_told_to_end(serve, target, interface, options):
    """They had the worker's handlers: `terminate()` and `Pool.terminate()` did nothing."""
    service = serve(TERMINATES, *options, interface=interface, target=f"main:{target}")
    assert service.get("/terminate").text == "[-15, -15, -15, -15]"
    assert service.get("/pool").text == "True"
    assert service.get("/usr2").text == str(-signal.SIGUSR2)
    assert service.get("/handlers").text == "([], -1, [])"
    check_clean(service, BOUND)


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_forks_of_the_import(serve, preload):
    """With `--preload` they have the supervisor's handlers: a signal to one of them stopped the service."""
    source = """
        import multiprocessing, os, signal, time

        context = multiprocessing.get_context("fork")
        child = context.Process(target=time.sleep, args=(30,), daemon=True)
        child.start()
        time.sleep(0.1)
        child.terminate()
        child.join(3)
        code = child.exitcode
        child.kill()

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(code).encode()})
    """
    service = serve(source, *preload)
    assert service.get("/").text == "-15"
    check_clean(service, 1.0)


DAEMONIC = """
    import multiprocessing, sys
    from granian import Granian

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(multiprocessing.current_process().daemon).encode()})

    def serve(method):
        # The address comes from the log; `serve` runs as in a fixture of somebody's tests.
        Granian("main:app", interface="asginl", port=0, workers=2).serve()

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        process = context.Process(target=serve, args=(sys.argv[1],), daemon=True)
        process.start()
        sys.stdin.read(1)
        process.terminate()
        process.join()
        print("ended with", process.exitcode, flush=True)
"""


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # All have ended.
        pass


@pytest.mark.parametrize("method", METHODS)
def test_a_server_in_a_daemonic_process(tmp_path, method):
    """An assertion of multiprocessing: daemonic processes are not allowed to have children."""
    (tmp_path / "main.py").write_text(re.sub("^    ", "", DAEMONIC, flags=re.MULTILINE))
    with subprocess.Popen(
        [sys.executable, "main.py", method],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            address, log = "", ""
            while "Started worker-2" not in log or "Started worker-1" not in log:
                line = server.stdout.readline()
                assert line, log
                log += line
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    address = found[0]
            import httpx

            assert httpx.get(address).text == "False"
            started = time.monotonic()
            server.stdin.write("x")
            server.stdin.flush()
            log = server.stdout.read()
            assert "ended with 0" in log, log
            assert time.monotonic() - started < BOUND + slack()
        finally:
            kill_group(server.pid)


ASKS = """
    async def app(scope, receive, send):
        print("asking", flush=True)
        answer = input()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer.encode()})
"""
PAUSES = """
    async def app(scope, receive, send):
        answer = "untouched"
        breakpoint()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer.encode()})
"""
STARTS = """
    import multiprocessing, sys
    from granian import Granian

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        options = eval(sys.argv[3])
        Granian(sys.argv[2], interface="asginl", port=0, **options).serve()
"""


@pytest.mark.parametrize("options", ["{}", "{'reload': True}", "{'reload': True, 'workers': 2}"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", ["input", "breakpoint"])
def test_the_standard_input(tmp_path, method, options, what):
    """`breakpoint()` read nothing: workers had the null device."""
    (tmp_path / "main.py").write_text(re.sub("^    ", "", STARTS, flags=re.MULTILINE))
    (tmp_path / "asks.py").write_text(re.sub("^    ", "", ASKS if what == "input" else PAUSES, flags=re.MULTILINE))
    with subprocess.Popen(
        [sys.executable, "-u", "main.py", method, "asks:app", options],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            address, log = "", ""
            while "Started worker-1" not in log:
                line = server.stdout.readline()
                assert line, log
                log += line
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    address = found[0]
            server.stdin.write("hello\n" if what == "input" else "answer = 'hello'\ncontinue\n")
            server.stdin.flush()
            import httpx

            assert httpx.get(address, timeout=20).text == "hello"
            server.terminate()
            assert server.wait(10) == 0
        finally:
            kill_group(server.pid)


COMES_BACK = """
    import asyncio, os, sys

    def fork(path):
        child = os.fork()
        if child:
            # The child's answer, if it gave one, would come first.
            _, status = os.waitpid(child, 0)
            return f"parent, {os.waitstatus_to_exitcode(status)}"
        print("buffered in the child")
        if path == "/exit":
            sys.exit(3)
        if path == "/text":
            sys.exit("good-bye")
        if path == "/raise":
            raise ValueError("in the child")
        return "child"

    async def asgi(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return await send({"type": "websocket.send", "text": fork(scope["path"])})
        body = fork(scope["path"]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def wsgi(environ, start_response):
        body = fork(environ["PATH_INFO"]).encode()
        start_response("200 OK", [])
        return [body]

    async def rsgi(scope, protocol):
        protocol.response_str(200, [], fork(scope.path))
"""


@pytest.mark.parametrize("path", ["/exit", "/text", "/raise", "/return"])
@pytest.mark.parametrize(("target", "interface", "options"), SERVED)
def test_forks_that_come_back(serve, target, interface, options, path):
    """A child that ended with `sys.exit` lived on as a second server, and answered its parent's client."""
    service = serve(COMES_BACK, *options, interface=interface, target=f"main:{target}")
    code = {"/exit": 3, "/text": 1, "/raise": 1, "/return": 0}[path]
    with service.connect() as wire:
        for _ in range(2):
            assert wire.request("GET", path).response().text == f"parent, {code}"
    assert service.log().count("buffered in the child") == 2, service.log()
    assert service.log().count("good-bye") == 2 * (path == "/text"), service.log()
    assert ("ValueError: in the child" in service.log()) is (path == "/raise"), service.log()
    service.signal(signal.SIGTERM)
    assert service.wait_exit(5) == 0


@pytest.mark.parametrize("event_loop", ["asyncio", "uvloop"])
def test_forks_of_a_task_that_come_back(serve, event_loop):
    """The same outside of a request: `sys.exit` goes through the event loop."""
    source = """
        import asyncio, os, sys

        async def fork():
            child = os.fork()
            if not child:
                sys.exit(3)
            _, status = os.waitpid(child, 0)
            print("ended with", os.waitstatus_to_exitcode(status), flush=True)

        async def app(scope, receive, send):
            await asyncio.gather(asyncio.create_task(fork()))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
    """
    service = serve(source, "--loop", event_loop)
    assert service.get("/").text == "ok"
    assert "ended with 3" in service.lines()
    check_clean(service, 1.0)
