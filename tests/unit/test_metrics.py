"""`granian.metrics`: pages, the sums over workers that follow each other, and the text."""

from __future__ import annotations

import mmap
import os
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

import pytest

from granian.config import Config
from granian.errors import ConfigurationError
from granian.metrics import Ledger, Page
from granian.metrics.exposition import openmetrics, prometheus, wants_openmetrics
from granian.metrics.families import Family, Sample, Service, families
from granian.metrics.layout import layout
from granian.status.address import bind_status, status_urls


@dataclass(eq=False)
class Worker:
    """A worker that exists in words only."""

    number: int = 1
    ready_at: float | None = 1.0
    is_draining: bool = False
    interrupt_by_parent: bool = False
    pid: int = 7

    @property
    def full_name(self):
        return f"worker-{self.number}"


class Writer:
    """Writes to a page as the core does."""

    def __init__(self, page):
        self._memory = mmap.mmap(page.fileno(), layout().places["bytes"])
        self.words = memoryview(self._memory).cast("Q")

    def set(self, name, value, offset=0):
        self.words[layout().fields[name].at + offset] = value


@pytest.fixture
def ledger():
    made = Ledger(lambda pid: 1000 * pid, 0.0)
    yield made
    made.close()


@pytest.fixture
def start(ledger):
    """`start(number)` starts a worker; gives it, and the writer of its page."""

    def start(number=1, cause="start"):
        page, worker = ledger.open(), Worker(number)
        writer = Writer(page)
        ledger.add(worker, page, cause)
        return worker, writer

    return start


def samples(ledger, name, ready=True):
    found = next(family for family in families(ledger.read(), Service(ready, False)) if family.name == name)
    return [(sample.labels, sample.value) for sample in found.samples]


def test_counters_outlive_workers_and_gauges_do_not(ledger, start):
    old, writer = start()
    writer.set("handled", 5)
    writer.set("connections", 3)
    new, successor = start(cause="reload")
    successor.set("handled", 2)
    successor.set("connections", 1)
    assert samples(ledger, "requests_handled") == [({"worker": "1"}, 7)]
    assert samples(ledger, "connections_active") == [({"worker": "1"}, 4)]
    ledger.remove(old)
    assert samples(ledger, "requests_handled") == [({"worker": "1"}, 7)]
    assert samples(ledger, "connections_active") == [({"worker": "1"}, 1)]
    ledger.remove(new)
    assert samples(ledger, "requests_handled") == [({"worker": "1"}, 7)]
    assert ledger.read().value("handled") == 7
    assert samples(ledger, "workers_spawns") == [({}, 2)]


def test_totals_are_over_all_workers(ledger, start):
    for number in (1, 2):
        _, writer = start(number)
        writer.set("requests", number, offset=layout().fields["requests"].labels.index(OK))
        writer.set("duration", 4, offset=2)
    assert (OK, 3) in samples(ledger, "requests")
    counts = {labels["le"]: value for labels, value in samples(ledger, "request_duration_seconds") if labels}
    assert (counts["0.0005"], counts["0.001"], counts["+Inf"]) == (0, 8, 8)


OK = {"protocol": "http/1.1", "status": "2xx"}


def test_a_loop_that_stands_still_is_late_by_the_time_since_its_tick_was_due(ledger, start):
    _, writer = start()
    assert ledger.lags() == {"worker-1": 0.0}
    writer.set("loop_lag", 2_000_000)
    assert ledger.lags() == {"worker-1": 0.002}
    writer.set("tick_due", time.monotonic_ns() - 3_000_000_000)
    assert 3 <= ledger.lags()["worker-1"] < 60


def test_only_serving_workers_have_to_tick(ledger, start):
    worker, _ = start()
    worker.is_draining = True
    assert ledger.lags() == {}
    assert ledger.states() == {"draining": 1}


def test_ends_that_somebody_has_to_wonder_about(ledger, start):
    _, writer = start()
    for at, labels in enumerate(layout().fields["closed"].labels):
        writer.set("closed", 1 if labels["cause"] in ("answered", "handshake_failed", "refused") else 0, offset=at)
    assert samples(ledger, "connections_err") == [({"worker": "1"}, 2)]


def row(number=1, state=128 | 2, path=b"/here"):
    """The words of an exchange."""
    places = layout().places
    words = [0] * places["row_words"]
    now = time.monotonic_ns()
    words[:7] = [number << 8 | state, now - 5_000_000_000, now - 4_000_000_000, now - 3_000_000_000, 0, 10, 20]
    words[places["row_facts"]] = 500 | 1 << 16 | 3 << 24 | len(path) << 32 | 4 << 40 | 8080 << 48
    words[places["row_address"]] = int.from_bytes(b"\x7f\0\0\1", "little")
    words[places["row_method"]] = int.from_bytes(b"GET", "little")
    words[places["row_path"]] = int.from_bytes(path, "little")
    return words


def test_an_exchange_in_progress(ledger, start):
    _, writer = start()
    places = layout().places
    first = places["rows"]
    writer.words[first + places["row_words"] : first + 2 * places["row_words"]] = memoryview(
        b"".join(word.to_bytes(8, "little") for word in row())
    ).cast("Q")
    (exchange,) = ledger.in_progress(10)
    assert (exchange.method, exchange.path, exchange.client) == ("GET", "/here", "127.0.0.1:8080")
    assert (exchange.protocol, exchange.state, exchange.queue_time) == ("http/1.1", "running", 1.0)
    assert 5 <= exchange.duration < 60
    assert (exchange.received, exchange.sent) == (10, 20)


def test_the_oldest_of_all_workers_are_shown_and_nothing_else_is_read(ledger, start, monkeypatch):
    """A page of 64 workers has 16,384 rows; to read them all took half a second."""
    # A machine that has just started has seen less time than the oldest exchange here.
    later = time.monotonic_ns() + 10_000 * 1_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: later)
    places = layout().places
    for number in range(1, 5):
        writer = start(number)[1]
        for at in range(places["row_count"]):
            words = row()
            words[1] -= (at * 10 + number) * 1_000_000_000
            first = places["rows"] + at * places["row_words"]
            writer.words[first : first + len(words)] = array("Q", words)
    looked_at = []
    copied = Page.row
    monkeypatch.setattr(Page, "row", lambda page, place: looked_at.append(place) or copied(page, place))
    found = ledger.in_progress(3)
    last = (places["row_count"] - 1) * 10 + 5
    assert [(exchange.worker, int(exchange.duration) - last) for exchange in found] == [(4, 4), (3, 3), (2, 2)]
    assert len(looked_at) == 3


def test_failed_exchanges_outlive_their_worker(ledger, start):
    worker, writer = start(2)
    places = layout().places
    entry = [1, time.monotonic_ns(), 1, *row(state=0)]
    for at, word in enumerate(entry):
        writer.words[places["rings"] + at] = word
    ledger.remove(worker)
    (exchange,) = ledger.ended()
    assert (exchange.worker, exchange.status, exchange.state) == (2, 500, "cut")
    assert exchange.ended_at == pytest.approx(time.time(), abs=60)


def test_a_page_without_a_descriptor_is_read_all_the_same():
    page = Page()
    descriptor = page.fileno()
    page.close_descriptor()
    page.close_descriptor()
    with pytest.raises(OSError):
        os.fstat(descriptor)
    assert page.fileno() == -1
    assert not any(page.words())
    assert page.rows() == page.ring() == []
    page.close()


def test_names_of_granian_2_are_the_same_in_both_formats():
    found = [
        Family("old", "counter", "Former", [Sample(1, {"worker": "1"})], is_bare=True),
        Family("new", "counter", "Later", [Sample(2)]),
        Family("wait_seconds", "gauge", 'Odd "text"\n', [Sample(0.5, {"path": 'a"b\\c\nd'})]),
    ]
    assert prometheus(found).splitlines() == [
        "# HELP granian_old Former",
        "# TYPE granian_old counter",
        'granian_old{worker="1"} 1',
        "# HELP granian_new_total Later",
        "# TYPE granian_new_total counter",
        "granian_new_total 2",
        r'# HELP granian_wait_seconds Odd "text"\n',
        "# TYPE granian_wait_seconds gauge",
        r'granian_wait_seconds{path="a\"b\\c\nd"} 0.5',
    ]
    assert openmetrics(found).splitlines() == [
        "# HELP granian_old Former",
        "# TYPE granian_old unknown",
        'granian_old{worker="1"} 1',
        "# HELP granian_new Later",
        "# TYPE granian_new counter",
        "granian_new_total 2",
        r'# HELP granian_wait_seconds Odd "text"\n',
        "# TYPE granian_wait_seconds gauge",
        "# UNIT granian_wait_seconds seconds",
        r'granian_wait_seconds{path="a\"b\\c\nd"} 0.5',
        "# EOF",
    ]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5, text/plain;q=0.3", True),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.3", False),
        ("application/openmetrics-text;q=x", False),
    ],
)
def test_the_format_that_a_client_prefers(accept, wanted):
    assert wants_openmetrics(accept) is wanted


def test_every_metric_has_its_row_in_the_document(ledger):
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    for family in families(ledger.read(), Service(True, False), {}):
        is_total = family.kind == "counter" and not family.is_bare
        assert f"`granian_{family.name}{'_total' if is_total else ''}`" in text, family.name


def test_memory_is_measured_once_within_the_interval():
    """`--metrics-scrape-interval`."""
    asked = []
    made = Ledger(lambda pid: asked.append(pid) or 1000, 60.0)
    made.add(Worker(), made.open(), "start")
    made.read()
    made.read()
    assert asked == [7]
    made.close()


def test_address_of_the_status_listener():
    options = {"metrics_enabled": True, "metrics_port": 0}
    sockets = bind_status(Config.from_kwargs(target="a:b", metrics_address="127.0.0.2", **options))
    try:
        assert [url.rpartition(":")[0] for url in status_urls(sockets)] == ["http://127.0.0.2"]
    finally:
        for item in sockets:
            item.close()
    with pytest.raises(ConfigurationError) as caught:
        bind_status(Config.from_kwargs(target="a:b", metrics_address="nowhere.invalid", **options))
    assert caught.value.option == "metrics_address"
