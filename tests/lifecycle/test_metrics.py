"""Metrics of a whole service: what a scraper gets, and that its sums hold while workers come and go."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from e2e.h2wire import H2Wire
from websockets.sync.client import connect

from .conftest import HELLO, Service, wait_count
from .load import Load

parser = pytest.importorskip("prometheus_client.parser")
openmetrics_parser = pytest.importorskip("prometheus_client.openmetrics.parser")

FORMER = {
    *("workers_spawns", "workers_respawns_for_err", "workers_respawns_for_lifetime", "workers_respawns_for_rss"),
    *("worker_lifetime", "connections_active", "connections_handled", "connections_err", "requests_handled"),
    *("static_requests_handled", "static_requests_err", "blocking_threads", "blocking_queue"),
    *("blocking_idle_cumulative", "blocking_busy_cumulative", "py_wait_cumulative"),
}
METRICS = ("--metrics", "--metrics-port", "0")
# Waits until it is told to go on, by a file.
WAITING = """
    import asyncio, os, time
    from pathlib import Path

    async def app(scope, receive, send):
        if scope["path"] == "/wait":
            while not Path("go").exists():
                await asyncio.sleep(0.01)
        if scope["path"] == "/block":
            while not Path("go").exists():
                time.sleep(0.01)
        status = 500 if scope["path"] == "/fail" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
"""


def status_url(service: Service) -> str:
    wait_count(service, "Metrics at: ", 1)
    found = re.search(r"Metrics at: (http://\S+)/metrics", service.log())
    assert found is not None
    return found[1]


def fetch(service: Service, path: str, **fields: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    request = urllib.request.Request(status_url(service) + path, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers["content-type"], response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


class Scrape:
    """The samples of one look."""

    def __init__(self, service: Service) -> None:
        _, _, text = fetch(service, "/metrics")
        self.samples = [sample for family in parser.text_string_to_metric_families(text) for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and these labels."""
        # The parser appends `_total` to counters that are without.
        names = (f"granian_{name}", f"granian_{name}_total")
        found = [
            sample.value for sample in self.samples if sample.name in names and labels.items() <= sample.labels.items()
        ]
        assert found, name
        return sum(found)


def wait_for(service: Service, expected: float, name: str, **labels: str) -> Scrape:
    """Looks until the sum is this."""
    deadline = time.monotonic() + 20
    while (found := (scrape := Scrape(service)).sum(name, **labels)) != expected:
        assert time.monotonic() < deadline, f"{name} is {found}, not {expected}:\n{service.log()}"
        time.sleep(0.02)
    return scrape


def get(service: Service, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*service.address, timeout=20)
    try:
        connection.request("GET", path, headers={"connection": "close", **(headers or {})})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_both_formats_are_what_parsers_take(serve):
    service = serve(HELLO, *METRICS, "--workers", "2")
    get(service)
    status, kind, text = fetch(service, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = list(parser.text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    assert {f"granian_{name}" for name in FORMER} <= {family.name for family in families}
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    status, kind, text = fetch(service, "/metrics", accept=accept)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    strict = list(openmetrics_parser.text_string_to_metric_families(text))
    assert [family.name for family in strict] == [family.name for family in families]
    # In both formats a counter of granian 2 has the name that dashboards look for.
    assert "\ngranian_requests_handled{worker=" in text


def test_requests_are_counted_by_worker_and_in_total(serve):
    service = serve(WAITING, *METRICS, "--workers", "2")
    for _ in range(5):
        assert get(service)[0] == 200
    assert get(service, "/fail")[0] == 500
    scrape = Scrape(service)
    assert scrape.sum("requests_handled") == 6
    assert scrape.sum("requests_total", protocol="http/1.1", status="2xx") == 5
    assert scrape.sum("requests_total", status="5xx") == 1
    assert scrape.sum("worker_requests_total", status="5xx") == 1
    assert scrape.sum("request_duration_seconds_count") == 6
    assert scrape.sum("worker_request_duration_seconds_count") == 6
    assert scrape.sum("connections_handled") == 6
    assert scrape.sum("workers", state="serving") == 2
    assert scrape.sum("worker_memory_bytes", worker="1") > 1e6


def test_protocols_are_told_apart(serve):
    source = """
        async def app(scope, receive, send):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                while (await receive())["type"] != "websocket.disconnect":
                    pass
                return
            while (await receive())["more_body"]:
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})
    """
    service = serve(source, *METRICS)
    host, port = service.address
    with H2Wire(service.address) as wire, connect(f"ws://{host}:{port}/", proxy=None):
        assert wire.request("POST", "/", body=b"abc").body == b"hello"
        scrape = Scrape(service)
        assert scrape.sum("requests_total", protocol="http/2", status="2xx") == 1
        assert scrape.sum("requests_total", protocol="http/1.1", status="1xx") == 1
        assert scrape.sum("connections_open", protocol="http/2") == 1
        assert scrape.sum("connections_open", protocol="websocket") == 1
        assert scrape.sum("connections_open", protocol="http/1") == 0
        assert scrape.sum("websockets_open") == 1
        assert scrape.sum("requests_in_flight") == 0
        assert (scrape.sum("request_body_bytes_sum"), scrape.sum("response_body_bytes_sum")) == (3, 5)
    wait_for(service, 0, "websockets_open")


def test_a_stuck_worker_is_seen(serve):
    """Its loop stands still, and the numbers are there all the same."""
    service = serve(WAITING, *METRICS)
    thread = threading.Thread(target=get, args=(service, "/block"))
    thread.start()
    try:
        wait_for(service, 1, "requests_in_flight")
        deadline = time.monotonic() + 20
        while Scrape(service).sum("worker_loop_lag_seconds") < 0.5:
            assert time.monotonic() < deadline
    finally:
        (service.spec.cwd / "go").touch()
        thread.join()
    wait_for(service, 0, "requests_in_flight")


def test_threads_of_a_wsgi_application(serve):
    source = """
        import time
        from pathlib import Path

        def app(environ, start_response):
            while environ["PATH_INFO"] == "/wait" and not Path("go").exists():
                time.sleep(0.01)
            start_response("200 OK", [])
            return [b"done"]
    """
    service = serve(source, *METRICS, "--blocking-threads", "2", interface="wsgi")
    threads = [threading.Thread(target=get, args=(service, "/wait")) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_for(service, 2, "blocking_threads", worker="1")
        wait_for(service, 1, "blocking_queue")
        assert Scrape(service).sum("requests_in_flight") == 3
    finally:
        (service.spec.cwd / "go").touch()
        for thread in threads:
            thread.join()
    scrape = wait_for(service, 3, "requests_handled")
    assert scrape.sum("blocking_queue") == 0
    assert scrape.sum("blocking_busy_cumulative") > 1000


def test_sums_hold_while_workers_are_replaced_and_killed(serve):
    """Every answer that a client has got is counted, and nothing that no client has asked for."""
    service = serve(HELLO, *METRICS, "--workers", "2")
    before = 0.0
    with Load(service) as load:
        for round_ in range(4):
            load.wait_answers(30)
            service.signal(signal.SIGHUP)
            wait_count(service, "Stopped old worker-2", round_ + 1)
            handled = Scrape(service).sum("requests_handled")
            assert handled >= before
            before = handled
    answered = load.answers.total()
    scrape = wait_for(service, answered, "requests_handled")
    assert scrape.sum("worker_starts_total", cause="reload") == 8
    failed = 0
    for round_ in range(3):
        asked = ask_until_killed(service)
        answered += asked[0]
        failed += asked[1]
        wait_count(service, "Unexpected exit from", round_ + 1)
        wait_count(service, "Started worker-", 10 + round_ + 1)
        # An answer may have been lost on its way, or not have been counted any more.
        assert answered <= Scrape(service).sum("requests_handled") <= answered + failed
    assert Scrape(service).sum("workers_respawns_for_err") == 3
    assert Scrape(service).sum("workers_spawns") == 13


def ask_until_killed(service: Service) -> tuple[int, int]:
    """Asks for one thing after another, and kills the worker in between; answers and failures."""
    answers = failures = 0
    with socket.create_connection(service.address, timeout=20) as client, client.makefile("rb") as file:
        for number in range(50):
            try:
                client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                pid = read_answer(file)
            except OSError:
                failures += 1
                break
            if pid is None:
                failures += 1
                break
            answers += 1
            if number == 40:
                os.kill(pid, signal.SIGKILL)
    assert failures == 1
    return answers, failures


def read_answer(file) -> int | None:
    """The worker that has answered; `None` if none has."""
    length = 0
    if not file.readline():
        return None
    while (line := file.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return int(file.read(length))


METHODS = """
    import multiprocessing, sys
    from granian import Granian

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        Granian("main:app", interface="asginl", port=0, metrics_enabled=True, metrics_port=0).serve()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_page_reaches_workers_that_inherit_nothing(program, method):
    service = program(METHODS, method)
    service.wait_ready()
    assert get(service)[0] == 200
    wait_for(service, 1, "requests_handled")


def test_odd_clients_of_the_status_listener(shared):
    for head, status in [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n a: b\r\n\r\n", 400),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 2000 + b"\r\n", 431),
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200),
    ]:
        with socket.create_connection(address_of(shared), timeout=20) as client:
            client.sendall(head)
            answer = b""
            with suppress(ConnectionResetError):
                # What has come too much is not read.
                answer += b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 %d " % status), head
        assert answer.endswith(b"\r\n\r\n") is head.startswith(b"HEAD")


@pytest.fixture
def shared(serve):
    return serve(HELLO, *METRICS)


def address_of(service: Service) -> tuple[str, int]:
    host, _, port = status_url(service).removeprefix("http://").rpartition(":")
    return host, int(port)


def test_many_silent_clients_shut_nobody_out(shared):
    silent = [socket.create_connection(address_of(shared), timeout=20) for _ in range(80)]
    try:
        assert fetch(shared, "/metrics")[0] == 200
        assert get(shared)[0] == 200
    finally:
        for client in silent:
            client.close()


def test_an_address_that_is_taken(launch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        service = launch(HELLO, "--metrics", "--metrics-port", str(other.getsockname()[1]))
        assert service.wait_exit(20) == 1
    assert "[ERROR] --metrics-port: Cannot listen on 127.0.0.1:" in service.log()
    assert "Traceback" not in service.log()
