"""Every metric of the service, with its name, kind, help and samples.

docs/metrics.md is the same list for readers. The first sixteen have the names of granian 2.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .._granian import __version__
from .layout import Field, Words, layout
from .ledger import Reading, WorkerReading

Labels = dict[str, str]


@dataclass(frozen=True)
class Sample:
    """One value; a histogram has several, told apart by suffixes."""

    value: float
    labels: Labels = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True)
class Family:
    """A metric. The name comes without the prefix `granian_`, and that of a counter without `_total`."""

    name: str
    # counter, gauge or histogram
    kind: str
    help: str
    samples: list[Sample]
    # A counter of granian 2, whose name has no `_total`.
    is_bare: bool = False


@dataclass(frozen=True)
class Service:
    """The state of the whole service."""

    is_ready: bool
    is_draining: bool


def families(reading: Reading, service: Service, routes: Mapping[str, Words] | None = None) -> Iterator[Family]:
    """All metrics, in an order that never changes; those by route only if there are `routes` to count."""
    yield from _former(reading)
    yield from _states(reading, service)
    yield from _totals(reading)
    yield from _per_worker(reading)
    if routes is not None:
        yield from _per_route(routes)


def _per_route(routes: Mapping[str, Words]) -> Iterator[Family]:
    def named(name: str) -> Labels:
        return {"route": name}

    requests = [
        Sample(value, {**named(name), **labels})
        for name, words in routes.items()
        for labels, value in layout().route_statuses.values(words)
    ]
    yield Family("route_requests", "counter", "Answers by route and class of status", requests)
    durations = [
        sample
        for name, words in routes.items()
        for sample in _histogram(layout().route_duration, words, NANOSECONDS, named(name))
    ]
    help = "From the head of a request to the end of its answer, by route"
    yield Family("route_request_duration_seconds", "histogram", help, durations)


def _former(reading: Reading) -> Iterator[Family]:
    def counter(name: str, help: str, samples: Iterable[Sample]) -> Family:
        return Family(name, "counter", help, list(samples), is_bare=True)

    def one(cause: str | None) -> list[Sample]:
        return [Sample(reading.starts.total() if cause is None else reading.starts[cause])]

    yield counter("workers_spawns", "Starts of workers", one(None))
    yield counter("workers_respawns_for_err", "Starts of workers in place of those that have died", one("error"))
    yield counter("workers_respawns_for_lifetime", "Starts in place of workers that were too old", one("lifetime"))
    yield counter("workers_respawns_for_rss", "Starts in place of workers that were too large", one("memory"))
    lifetimes = [Sample(round(worker.age, 3), _worker(number)) for number, worker in _present(reading).items()]
    yield counter("worker_lifetime", "Seconds since the worker's start", lifetimes)
    for name, kind, help, value in FORMER:
        samples = [Sample(value(words), _worker(number)) for number, words in sorted(reading.slots.items())]
        yield Family(name, kind, help, samples, is_bare=kind == "counter")


def _states(reading: Reading, service: Service) -> Iterator[Family]:
    info = Sample(1, {"version": __version__, "python": platform.python_version()})
    yield Family("build_info", "gauge", "The versions of granian and Python", [info])
    yield Family("ready", "gauge", "1 while the service takes requests", [Sample(int(service.is_ready))])
    yield Family("draining", "gauge", "1 once the service has been told to stop", [Sample(int(service.is_draining))])
    states = [worker.state for worker in reading.workers]
    samples = [Sample(states.count(state), {"state": state}) for state in ("starting", "serving", "draining")]
    yield Family("workers", "gauge", "Workers by their state", samples)
    starts = [Sample(reading.starts[cause], {"cause": cause}) for cause in CAUSES]
    yield Family("worker_starts", "counter", "Starts of workers by their cause", starts)


def _totals(reading: Reading) -> Iterator[Family]:
    words = reading.total
    for name, source, help in COUNTERS:
        samples = [Sample(value, labels) for labels, value in layout().fields[source].values(words)]
        yield Family(name, "counter", help, samples)
    for name, source, scale, help in HISTOGRAMS:
        yield Family(name, "histogram", help, list(_histogram(layout().fields[source], words, scale, {})))
    connections = [Sample(count, {"protocol": protocol}) for protocol, count in connections_by_protocol(words).items()]
    yield Family("connections_open", "gauge", "Open connections by protocol", connections)
    for name, source, help in GAUGES:
        yield Family(name, "gauge", help, [Sample(layout().value(words, source))])


def _per_worker(reading: Reading) -> Iterator[Family]:
    slots = sorted(reading.slots.items())
    for name, source, help in GAUGES:
        samples = [Sample(layout().value(words, source), _worker(number)) for number, words in slots]
        yield Family(f"worker_{name}", "gauge", f"{help}, by worker", samples)
    present = _present(reading)
    lags = [Sample(round(worker.loop_lag, 6), _worker(number)) for number, worker in present.items()]
    yield Family("worker_loop_lag_seconds", "gauge", "How late the worker's event loop is", lags)
    memory = [Sample(worker.memory, _worker(number)) for number, worker in present.items() if worker.memory is not None]
    yield Family("worker_memory_bytes", "gauge", "Resident memory of the worker", memory)
    requests = [sample for number, words in slots for sample in _statuses(words, number)]
    yield Family("worker_requests", "counter", "Answers by worker and class of status", requests)
    durations_of = layout().fields["duration"]
    durations = [
        sample for number, words in slots for sample in _histogram(durations_of, words, NANOSECONDS, _worker(number))
    ]
    help = "From the head of a request to the end of its answer, by worker"
    yield Family("worker_request_duration_seconds", "histogram", help, durations)


def _present(reading: Reading) -> dict[int, WorkerReading]:
    """The worker that stands for its slot: the one that serves, or else the newest."""
    found: dict[int, WorkerReading] = {}
    for worker in reading.workers:
        other = found.get(worker.number)
        if other is None or other.state != "serving":
            found[worker.number] = worker
    return dict(sorted(found.items()))


def _worker(number: int) -> Labels:
    return {"worker": str(number)}


def _statuses(words: Words, number: int) -> Iterator[Sample]:
    counts: dict[str, int] = {}
    for labels, value in layout().fields["requests"].values(words):
        counts[labels["status"]] = counts.get(labels["status"], 0) + value
    for status, count in counts.items():
        yield Sample(count, {**_worker(number), "status": status})


def connections_by_protocol(words: Words) -> dict[str, int]:
    """Open connections; TLS handshakes are among HTTP/1."""
    value = layout().value
    http2, websocket = value(words, "http2_connections"), value(words, "websocket_connections")
    # Another word may have changed between the reads.
    rest = max(value(words, "connections") - http2 - websocket, 0)
    return {"http/1": rest, "http/2": http2, "websocket": websocket}


def _histogram(found: Field, words: Words, scale: float, labels: Labels) -> Iterator[Sample]:
    counts, total = found.buckets(words)
    for bound, count in zip([*(bound / scale for bound in found.bounds), float("inf")], counts, strict=True):
        yield Sample(count, {**labels, "le": "+Inf" if bound == float("inf") else repr(float(bound))}, "_bucket")
    yield Sample(counts[-1], labels, "_count")
    yield Sample(total / scale if scale > 1 else total, labels, "_sum")


def _failed_connections(words: Words) -> int:
    return sum(
        count for labels, count in layout().fields["closed"].values(words) if labels["cause"] not in ORDERLY_ENDS
    )


def _value(name: str, scale: int = 1) -> Callable[[Words], int]:
    return lambda words: layout().value(words, name) // scale


NANOSECONDS = 1e9
MICROSECOND = 1000
CAUSES = ("start", "reload", "error", "lifetime", "memory", "requests", "added")
# Ends of connections that nobody has to wonder about.
ORDERLY_ENDS = frozenset(
    {"peer_closed", "answered", "idle_timeout", "aborted", "websocket_closed", "drained", "cancelled"}
)
FORMER: tuple[tuple[str, str, str, Callable[[Words], int]], ...] = (
    ("connections_active", "gauge", "Open connections", _value("connections")),
    ("connections_handled", "counter", "Accepted connections", _value("accepted")),
    (
        "connections_err",
        "counter",
        "Connections that ended by a fault of the client or the network",
        _failed_connections,
    ),
    ("requests_handled", "counter", "Requests that were answered whole, static files too", _value("handled")),
    ("static_requests_handled", "counter", "Requests for static files", _value("static_handled")),
    ("static_requests_busy", "counter", "Requests for files that got 503: too many waited", _value("static_busy")),
    ("static_requests_err", "counter", "Requests for static files that there are not", _value("static_missed")),
    ("blocking_threads", "gauge", "Threads that call a WSGI application", _value("threads")),
    ("blocking_queue", "gauge", "Calls that wait for such a thread", _value("threads_queue")),
    (
        "blocking_idle_cumulative",
        "counter",
        "Microseconds that such threads have waited for calls",
        _value("threads_idle", MICROSECOND),
    ),
    (
        "blocking_busy_cumulative",
        "counter",
        "Microseconds that such threads have spent in calls",
        _value("threads_busy", MICROSECOND),
    ),
    (
        "py_wait_cumulative",
        "counter",
        "Microseconds that such threads have waited for the interpreter",
        _value("python_wait", MICROSECOND),
    ),
)
# Name, name on the page, help.
COUNTERS = (
    ("requests", "requests", "Answers by protocol and class of status; none is an exchange that ended without one"),
    ("requests_cut", "cut", "Requests whose answer was cut off, or that got none"),
    ("requests_abandoned", "abandoned", "Requests whose client left before the application was called"),
    ("connections_accepted", "accepted", "Accepted connections"),
    ("connections_closed", "closed", "Ends of connections by their cause"),
    ("limits_reached", "limited", "Limits that were reached, by the option that sets them"),
    ("websockets_opened", "websockets_opened", "Websockets that were opened"),
)
# Name, name on the page, units of the page in one of the metric, help.
HISTOGRAMS = (
    ("request_queue_seconds", "queue_time", NANOSECONDS, "From a complete request to the call of the application"),
    ("request_first_byte_seconds", "first_byte_time", NANOSECONDS, "From a request's head to that of its answer"),
    ("request_duration_seconds", "duration", NANOSECONDS, "From a request's head to the end of its answer"),
    ("request_body_bytes", "received", 1, "Bytes of requests' bodies"),
    ("response_body_bytes", "sent", 1, "Bytes of answers' bodies"),
    ("loop_lag_seconds", "lag", NANOSECONDS, "How late event loops came to a tick that is due twice a second"),
)
GAUGES = (
    ("requests_in_flight", "in_flight", "Requests whose application was called and whose answer is not complete"),
    ("requests_queued", "waiting", "Requests that wait for their turn"),
    ("requests_reading", "reading", "Requests whose body is waited for before the application is called"),
    ("websockets_open", "websockets", "Open websockets"),
    ("threads", "threads", "Threads that call a WSGI application"),
    ("threads_queued", "threads_queue", "Calls that wait for such a thread"),
)
