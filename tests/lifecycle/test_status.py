"""The status page and its JSON: what they show, and to whom."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack

import pytest

from granian.status.view import MOST_REQUESTS

from .conftest import HELLO, wait_count
from .test_health import wait_until
from .test_log_pipe import WSGI
from .test_metrics import METRICS, WAITING, fetch, get, status_url

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_requests_are_seen_while_they_run_and_when_they_have_failed(serve):
    service = serve(WAITING, *METRICS, "--workers", "2")
    assert "[INFO] Status page at: http://127.0.0.1:" in service.log()
    get(service, "/fail?token=secret")
    thread = threading.Thread(target=get, args=(service, "/wait?token=secret"))
    thread.start()
    wait_until(lambda: len(json.loads(fetch(service, "/status.json")[2])["requests"]) == 1, service)
    status, kind, text = fetch(service, "/status.json")
    assert (status, kind) == (200, "application/json")
    found = json.loads(text)
    assert (found["state"], found["ready"], found["requests_not_shown"]) == ("serving", True, 0)
    assert [worker["state"] for worker in found["workers"]] == ["serving", "serving"]
    assert found["totals"]["in_flight"] == 1
    (running,) = found["requests"]
    assert (running["method"], running["path"], running["state"]) == ("GET", "/wait", "running")
    assert running["client"].startswith("127.0.0.1:")
    (failed,) = found["ended"]
    assert (failed["path"], failed["status"], failed["state"]) == ("/fail", 500, "ended")
    page = fetch(service, "/")[2]
    assert "/wait" in page and "/fail" in page
    assert "secret" not in page + text
    (service.spec.cwd / "go").touch()
    thread.join()


def test_requests_whose_bodies_are_on_their_way_are_counted_too(serve):
    service = serve(WSGI, *METRICS, interface="wsgi")
    head = b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc"
    with ExitStack() as stack:
        for _ in range(MOST_REQUESTS + 3):
            client = stack.enter_context(socket.create_connection(service.address, timeout=10))
            client.sendall(head)
        wait_until(lambda: "granian_requests_reading 53" in fetch(service, "/metrics")[2], service)
        found = json.loads(fetch(service, "/status.json")[2])
        assert (len(found["requests"]), found["requests_not_shown"]) == (MOST_REQUESTS, 3)
        assert (found["totals"]["reading"], found["totals"]["in_flight"]) == (MOST_REQUESTS + 3, 0)
        assert f"the {MOST_REQUESTS} oldest of {MOST_REQUESTS + 3}" in fetch(service, "/")[2]


def test_behind_a_proxy_the_client_is_shown(serve):
    service = serve(WAITING, *METRICS, "--forwarded-allow-ips", "127.0.0.1")
    get(service, "/fail", {"X-Forwarded-For": "203.0.113.7"})
    get(service, "/fail", {"X-Forwarded-For": "2001:db8::1", "X-Forwarded-Port": "443"})
    get(service, "/fail", {"Forwarded": 'for="[2001:db8::1]:99"'})
    found = json.loads(fetch(service, "/status.json")[2])["ended"]
    assert [failed["client"] for failed in found] == ["[2001:db8::1]:99", "2001:db8::1", "203.0.113.7"]


def test_nothing_that_clients_send_is_part_of_the_page(serve):
    service = serve(WAITING, *METRICS)
    thread = threading.Thread(target=get, args=(service, "/wait/<script>alert(1)</script>&'\""))
    source = WAITING.replace('== "/wait"', '.startswith("/wait")')
    service.write(source)
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-1", 1)
    thread.start()
    wait_until(lambda: "alert(1)" in fetch(service, "/")[2], service)
    page = fetch(service, "/")[2]
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    (service.spec.cwd / "go").touch()
    thread.join()


def test_failures_outlive_the_worker(serve):
    service = serve(WAITING, *METRICS)
    get(service, "/fail")
    os.kill(service.pids()[0], signal.SIGKILL)
    wait_count(service, "Started worker-1", 2)
    found = json.loads(fetch(service, "/status.json")[2])
    assert [exchange["path"] for exchange in found["ended"]] == ["/fail"]
    assert found["totals"]["answers"]["5xx"] == 1


def test_names_of_other_machines_are_refused(serve):
    """A page of somebody else's may have its name lead here, and read what it gets."""
    service = serve(HELLO, *METRICS)
    for path in ("/", "/status.json", "/metrics"):
        assert fetch(service, path, host="evil.example:9090")[0] == 403
        assert fetch(service, path, host="localhost:9090")[0] == 200
    assert fetch(service, "/readyz", host="evil.example")[0] == 200


def test_other_machines_need_the_token(serve):
    service = serve(HELLO, *METRICS, "--metrics-address", "0.0.0.0")
    assert fetch(service, "/metrics", host="pod.example")[0] == 200
    status, _, text = fetch(service, "/")
    assert status == 403 and "--metrics-token" in text
    assert "Status page at" not in service.log()


def test_a_token_is_asked_for(serve):
    service = serve(HELLO, *METRICS, "--metrics-address", "0.0.0.0", "--metrics-token", "open sesame")
    for path in ("/", "/status.json", "/metrics"):
        assert fetch(service, path)[0] == 401
        assert fetch(service, path, authorization="Bearer wrong")[0] == 401
        assert fetch(service, path, authorization="Bearer open sesame", host="any.example")[0] == 200
        assert fetch(service, f"{path}?token=open+sesame")[0] == 200
    assert fetch(service, "/livez")[0] == 200
    assert "open sesame" not in service.log()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt install chromium)")
def test_a_browser_shows_the_page_and_keeps_it_up_to_date(serve, tmp_path):
    service = serve(HELLO, *METRICS)
    get(service)
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser"]
    command += ["--virtual-time-budget=6000", "--dump-dom", f"{status_url(service)}/"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=50).stdout
    assert "worker-1" in dom
    # The script has run, and has got the page again.
    assert 'data-live="yes"' in dom
    assert "<title>granian: serving</title>" in dom
