"""`Exchange`: a request in progress, or one that was slow or failed, read off a page.

A page has method, path and client of a request, and nothing of its query, fields and bodies.
"""

from __future__ import annotations

import heapq
import ipaddress
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from .layout import layout
from .page import Page


@dataclass(frozen=True)
class Exchange:
    """One request. Times are seconds."""

    worker: int
    method: str
    # Without the query; a long one is cut.
    path: str
    # Address, and port if that is known; empty on a Unix socket. Trusted proxies tell it.
    client: str
    protocol: str
    # 0 without any.
    status: int
    # Until now, or until its end.
    duration: float
    # Until the application was called; None if it was not.
    queue_time: float | None
    first_byte_time: float | None
    received: int
    sent: int
    # reading, queued, running or sending; or ended, or cut for one whose answer is not whole.
    state: str
    # In seconds since 1970.
    ended_at: float | None = None


def exchanges_in_progress(pages: Iterable[tuple[int, Page]], most: int) -> list[Exchange]:
    """The oldest ones on the pages of workers, which come with their workers' numbers; the oldest first."""
    now = time.monotonic_ns()
    found = [(arrived, worker, page, place) for worker, page in pages for arrived, place in page.rows()]
    oldest = heapq.nsmallest(most, found, key=itemgetter(0))
    rows = ((worker, page.row(place)) for _, worker, page, place in oldest)
    exchanges = [_exchange(row, worker, now, _state(row[0])) for worker, row in rows if row]
    return sorted(exchanges, key=lambda exchange: exchange.duration, reverse=True)


def ended_exchanges(pages: Iterable[tuple[int, Page]], most: int) -> list[Exchange]:
    """The last ones on the pages of workers that were slow or failed; the last one first."""
    to_date = time.time_ns() - time.monotonic_ns()
    first = layout().places["ring_row"]
    found = [(ended, worker, page, place) for worker, page in pages for ended, place in page.ring()]
    last = heapq.nlargest(most, found, key=itemgetter(0))
    entries = ((worker, page.entry(place)) for _, worker, page, place in last)
    return [
        _exchange(entry[first:], worker, ended, "cut" if is_cut else "ended", (ended + to_date) / NANOSECONDS)
        for worker, entry in entries
        if entry
        for ended, is_cut in [entry[1:first]]
    ]


def _exchange(row: Sequence[int], worker: int, now: int, state: str, ended_at: float | None = None) -> Exchange:
    places = layout().places
    _, arrived, ready, called, first, received, sent, facts, *_ = row
    status, protocol, method, path, family, port = (
        facts & 0xFFFF,
        facts >> 16 & 0xFF,
        facts >> 24 & 0xFF,
        facts >> 32 & 0xFF,
        facts >> 40 & 0xFF,
        facts >> 48,
    )
    names = dict(layout().fields["requests"].axes)["protocol"]
    return Exchange(
        worker=worker,
        method=_text(row, places["row_method"], method),
        path=_text(row, places["row_path"], path),
        client=_client(_bytes(row, places["row_address"], 16), family, port),
        protocol=names[protocol] if protocol < len(names) else "",
        status=status,
        duration=max(now - arrived, 0) / NANOSECONDS,
        queue_time=max(called - ready, 0) / NANOSECONDS if called else None,
        first_byte_time=max(first - arrived, 0) / NANOSECONDS if first else None,
        received=received,
        sent=sent,
        state=state,
        ended_at=ended_at,
    )


def _state(bits: int) -> str:
    if bits & ANSWERING:
        return "sending"
    if bits & CALLED:
        return "running"
    return "queued" if bits & WAITING else "reading"


def _bytes(row: Sequence[int], first: int, length: int) -> bytes:
    words = row[first : first + (length + 7) // 8]
    return b"".join(word.to_bytes(8, "little") for word in words)[:length]


def _text(row: Sequence[int], first: int, length: int) -> str:
    return _bytes(row, first, length).decode("latin-1")


def _client(address: bytes, family: int, port: int) -> str:
    if family not in (IPV4, IPV6):
        return ""
    ip = ipaddress.IPv4Address(address[:4]) if family == IPV4 else ipaddress.IPv6Address(address)
    if not port:  # a proxy does not always tell it
        return str(ip)
    return f"{ip}:{port}" if family == IPV4 else f"[{ip}]:{port}"


NANOSECONDS = 1e9
# Bits of a row's state.
WAITING, CALLED, ANSWERING = 1, 2, 4
IPV4, IPV6 = 4, 6
