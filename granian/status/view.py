"""`view`: what the status page shows, as plain values; `/status.json` is the same."""

from __future__ import annotations

import dataclasses
import platform
from typing import Any

from .._granian import __version__
from ..metrics import Ledger, Reading, WorkerReading
from ..metrics.families import Service, connections_by_protocol
from ..metrics.history import History
from ..metrics.layout import layout


def view(ledger: Ledger, history: History, service: Service, uptime: float) -> dict[str, Any]:
    """Everything; times are seconds, sizes bytes, `None` is unknown."""
    reading = ledger.read()
    return {
        "version": __version__,
        "python": platform.python_version(),
        "state": state_of(service),
        "ready": service.is_ready,
        "uptime": round(uptime, 1),
        "totals": _totals(reading, history),
        "workers": [_worker(worker, reading, history) for worker in sorted(reading.workers, key=_order)],
        "requests": [dataclasses.asdict(exchange) for exchange in ledger.in_progress(MOST_REQUESTS)],
        "requests_not_shown": max(sum(map(reading.value, IN_PROGRESS)) - MOST_REQUESTS, 0),
        "ended": [dataclasses.asdict(exchange) for exchange in ledger.ended()],
    }


def state_of(service: Service) -> str:
    """starting, serving or stopping."""
    if service.is_draining:
        return "stopping"
    return "serving" if service.is_ready else "starting"


def _totals(reading: Reading, history: History) -> dict[str, Any]:
    answers = {
        status: sum(
            count for labels, count in layout().fields["requests"].values(reading.total) if labels["status"] == status
        )
        for status in dict(layout().fields["requests"].axes)["status"]
    }
    return {
        **dataclasses.asdict(history.late(reading)),
        "answers": answers,
        "cut": reading.value("cut"),
        "in_flight": reading.value("in_flight"),
        "queued": reading.value("waiting"),
        "reading": reading.value("reading"),
        "websockets": reading.value("websockets"),
        "connections": connections_by_protocol(reading.total),
        "memory": sum(worker.memory or 0 for worker in reading.workers),
    }


def _worker(worker: WorkerReading, reading: Reading, history: History) -> dict[str, Any]:
    # Two workers of one slot, the old and the new one, share their rates.
    return {
        "name": worker.name,
        "pid": worker.pid,
        "state": worker.state,
        "age": round(worker.age, 1),
        **dataclasses.asdict(history.late(reading, worker.number)),
        "handled": worker.value("handled"),
        "in_flight": worker.value("in_flight"),
        "queued": worker.value("waiting"),
        "connections": worker.value("connections"),
        "websockets": worker.value("websockets"),
        "threads": worker.value("threads"),
        "memory": worker.memory,
        "loop_lag": round(worker.loop_lag, 4),
    }


def _order(worker: WorkerReading) -> tuple[int, float]:
    return worker.number, -worker.age


# Requests in progress that are shown, the oldest ones.
MOST_REQUESTS = 50
# The numbers that add up to all of them.
IN_PROGRESS = ("in_flight", "waiting", "reading")
