"""Health: what balancers and orchestrators are told while a service starts, serves, is stuck and stops."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from .conftest import HELLO, Service
from .load import Load
from .test_metrics import METRICS, WAITING, fetch, get, status_url

# Starts when it is told to, by a file.
SLOW_START = """
    import time
    from pathlib import Path

    while not Path("go").exists():
        time.sleep(0.01)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""


def wait_until(condition: Callable[[], bool], service: Service) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.02)


def states(service: Service) -> list[int]:
    """The statuses of the three endpoints."""
    return [fetch(service, path)[0] for path in ("/livez", "/readyz", "/healthz")]


def test_a_service_that_starts_is_alive_and_not_ready(launch):
    service = launch(SLOW_START, *METRICS)
    assert states(service) == [200, 503, 503]
    assert fetch(service, "/readyz")[2] == "not ready: 1 starting\n"
    (service.spec.cwd / "go").touch()
    service.wait_ready()
    assert states(service) == [200, 200, 200]
    assert fetch(service, "/readyz")[2] == "ok\n"


def test_a_stuck_loop_is_told_where_it_is_asked_for(serve):
    service = serve(WAITING, *METRICS, "--health-loop-timeout", "600", "--health-path", "/up")
    assert states(service) == [200, 200, 200]
    thread = threading.Thread(target=get, args=(service, "/block"))
    thread.start()
    try:
        wait_until(lambda: states(service) == [503, 503, 503], service)
        assert fetch(service, "/livez")[2].startswith("worker-1: its event loop has been stuck for ")
    finally:
        (service.spec.cwd / "go").touch()
        thread.join()
    wait_until(lambda: states(service) == [200, 200, 200], service)


def test_a_service_that_stops_is_alive_and_not_ready(serve):
    service = serve(WAITING, *METRICS)
    thread = threading.Thread(target=get, args=(service, "/wait"))
    thread.start()
    wait_until(lambda: "granian_requests_in_flight 1" in fetch(service, "/metrics")[2], service)
    service.terminate()
    service.wait_line("Shutting down granian")
    assert states(service) == [200, 503, 503]
    assert fetch(service, "/readyz")[2] == "the service is shutting down\n"
    (service.spec.cwd / "go").touch()
    thread.join()
    service.finish()


@pytest.mark.parametrize("to_group", [False, True], ids=["process", "group"])
def test_a_balancer_has_time_to_notice(serve, to_group):
    """Start, ready, load, TERM: until the balancer has seen that it is to go elsewhere, every request is served."""
    service = serve(HELLO, *METRICS, "--workers", "2", "--shutdown-delay", "60", "--health-path", "/up")
    assert get(service, "/up") == (200, "ok\n")
    with Load(service) as load:
        load.wait_answers(20)
        (os.killpg if to_group else os.kill)(service.process.pid, signal.SIGTERM)
        service.wait_line("Not ready any more, shutting down granian in 60")
        wait_until(lambda: get(service, "/up") == (503, "draining\n"), service)
        assert states(service) == [200, 503, 503]
        load.wait_answers(50)
    # The balancer has noticed.
    service.terminate()
    service.finish()
    assert "Unexpected" not in service.log()


def test_the_delay_ends(serve):
    service = serve(HELLO, "--shutdown-delay", "1")
    service.terminate()
    service.wait_line("Not ready any more")
    service.wait_line("Shutting down granian")
    service.finish()


def test_a_second_signal_ends_the_delay(serve):
    service = serve(HELLO, "--shutdown-delay", "60")
    service.terminate()
    service.wait_line("Not ready any more")
    service.terminate()
    service.finish()


def test_a_worker_that_starts_in_the_delay_is_not_ready_either(serve):
    service = serve(HELLO, "--shutdown-delay", "60", "--health-path", "/up")
    service.terminate()
    service.wait_line("Not ready any more")
    os.kill(service.pids()[0], signal.SIGKILL)
    wait_until(lambda: len(service.pids()) == 2 and service.log().count("Started worker-1") == 2, service)
    wait_until(lambda: get(service, "/up") == (503, "draining\n"), service)
    assert get(service)[0] == 200
    service.terminate()
    service.finish()


def test_nobody_waits_for_a_full_service_to_say_that_it_is_ready(serve):
    """All places and threads are taken, and the health path is answered at once."""
    source = """
        import time
        from pathlib import Path

        def app(environ, start_response):
            while environ["PATH_INFO"] == "/wait" and not Path("go").exists():
                time.sleep(0.01)
            start_response("200 OK", [])
            return [b"done"]
    """
    options = ("--backpressure", "2", "--blocking-threads", "2", "--health-path", "/up")
    service = serve(source, *options, *METRICS, interface="wsgi")
    threads = [threading.Thread(target=get, args=(service, "/wait")) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: "granian_requests_queued 2" in fetch(service, "/metrics")[2], service)
        connection = http.client.HTTPConnection(*service.address, timeout=20)
        for _ in range(3):
            connection.request("GET", "/up")
            assert connection.getresponse().read() == b"ok\n"
        connection.close()
        assert "granian_requests_queued 2" in fetch(service, "/metrics")[2]
    finally:
        (service.spec.cwd / "go").touch()
        for thread in threads:
            thread.join()


def test_the_listener_goes_with_the_service(serve):
    service = serve(HELLO, *METRICS)
    status_url(service)
    service.stop()
    with pytest.raises(OSError):
        fetch(service, "/livez")
