"""`granian.status` without a service: HTTP, who may look, and texts of the page."""

from __future__ import annotations

import select
import socket
from contextlib import suppress

import pytest

from granian.log import logger
from granian.metrics.history import quantile
from granian.metrics.layout import layout
from granian.status.guard import Guard, is_loopback
from granian.status.http import BadRequest, Request, Response, parse, serialize
from granian.status.listener import StatusListener
from granian.status.page import _long, _number, _short, _size, _workers


def test_a_request_comes_in_pieces():
    whole = b"GET /path?a=1&b=%20 HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\naccept: later\r\n\r\n"
    for length in range(len(whole)):
        assert parse(whole[:length]) is None
    request = parse(whole)
    assert request is not None
    assert (request.method, request.path, request.query) == ("GET", "/path", {"a": "1", "b": " "})
    assert request.fields == {"host": "a", "accept": "text/plain"}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno field\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nname : value\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\n\r\n", 405),
        (b"x" * 9000, 431),
    ],
)
def test_what_is_no_request(head, status):
    with pytest.raises(BadRequest) as caught:
        parse(head)
    assert caught.value.response.status == status


def test_an_answer():
    answer = serialize(Response("héllo", 503), is_head=False)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"\r\n\r\nh\xc3\xa9llo")
    assert b"\r\ncontent-length: 6\r\n" in answer
    assert serialize(Response("hello"), is_head=True).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.:9090", True),
        ("a.localhost", True),
        ("127.0.0.1:9090", True),
        ("127.8.0.1", True),
        ("[::1]:9090", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
        ("[2001:db8::1]", False),
        ("", False),
    ],
)
def test_names_of_this_machine(host, expected):
    assert is_loopback(host) is expected


def test_a_client_without_a_host_is_no_browser():
    request = Request("GET", "/", {}, {})
    assert Guard(is_local=True, token=None).refusal(request, is_page=True) is None
    refused = Guard(is_local=False, token=None).refusal(request, is_page=True)
    assert refused is not None and refused.status == 403


def test_latencies_are_read_off_the_buckets():
    field = layout().fields["duration"]
    words = [0] * layout().places["numbers"]
    assert quantile(field, words, 0.5) is None
    # A hundred between 0.5 and 1 ms, and one above all bounds.
    words[field.at + 2] = 100
    assert quantile(field, words, 0.5) == pytest.approx(0.00075)
    words[field.at + len(field.bounds)] = 100
    assert quantile(field, words, 0.99) == 60


def test_texts_of_the_page():
    assert [_number(value) for value in (0, 0.26, 9.94, 12.4, 12_345.6)] == ["0", "0.3", "9.9", "12", "12,346"]
    assert [_short(value) for value in (None, 0.00026, 0.02, 1.26, 61)] == [
        "–",
        "0.3 ms",
        "20 ms",
        "1.3 s",
        "1 min 1 s",
    ]
    assert [_long(value) for value in (0.4, 59, 3661, 90_000)] == ["0 s", "59 s", "1 h 1 min", "1 d 1 h"]
    assert [_size(value) for value in (None, 0, 2048, 5 << 20, 3 << 30)] == ["–", "0 B", "2 KiB", "5 MiB", "3.0 GiB"]


def test_of_many_workers_the_odd_ones_are_seen_at_once():
    def worker(number, **other):
        names = ("age", "requests_per_second", "in_flight", "queued", "connections", "websockets", "threads", "memory")
        row = {"name": f"worker-{number}", "pid": number, "state": "serving", "median": None, "p99": None}
        return {**row, **dict.fromkeys(names, 0), "loop_lag": 0.0, **other}

    few = _workers([worker(number) for number in range(16)])
    assert "<details" not in few and few.count("<tr ") == 16
    found = _workers([worker(number, loop_lag=float(number == 7)) for number in range(64)])
    seen, _, hidden = found.partition("<details>")
    assert "1 of 64 out of the ordinary" in seen
    assert (seen.count("<tr "), hidden.count("<tr ")) == (1, 64)
    assert "worker-7<" in seen
    assert "All of them are well." in _workers([worker(number) for number in range(17)])


def test_a_fault_of_a_look_ends_nothing(caplog):
    """It would have ended the supervisor, and with it the service."""

    def answer(request):
        raise ZeroDivisionError

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    listener = StatusListener([listening], answer, lambda seconds, function: None, lambda item: None)
    logger.addHandler(caplog.handler)
    try:
        with socket.create_connection(listening.getsockname(), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            received = b""
            client.setblocking(False)
            while not received.endswith(b"why\n"):
                select.select([*listener.waitables(), client], [], [], 10)
                listener.turn()
                with suppress(BlockingIOError):
                    received += client.recv(4096)
        assert received.startswith(b"HTTP/1.1 500 ")
        assert "ZeroDivisionError" in caplog.text
    finally:
        logger.removeHandler(caplog.handler)
        listener.close()


def test_a_client_that_asks_for_nothing_is_dropped_by_a_timer_that_rings_early():
    """As those of uvloop do."""
    timers = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    listener = StatusListener([listening], lambda request: None, lambda *timer: timers.append(timer), lambda item: None)
    try:
        with socket.create_connection(listening.getsockname(), timeout=10) as client:
            while not timers:
                select.select(listener.waitables(), [], [], 10)
                listener.turn()
            [(seconds, ring)] = timers
            assert seconds == 10
            ring()
            assert client.recv(1) == b""
            ring()
    finally:
        listener.close()
