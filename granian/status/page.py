"""The status page: HTML that is whole without a script, and fits a phone.

With a script it is fetched again every two seconds; without one, by the browser every five.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from .http import Response

Row = dict[str, Any]
# Heading, and the text of a cell.
Column = tuple[str, Callable[[Row], str]]


def page(view: dict[str, Any]) -> Response:
    """The page of a `granian.status.view`."""
    nonce = secrets.token_urlsafe(12)
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; {REST}"
    body = DOCUMENT.format(title=f"granian: {view['state']}", nonce=nonce, style=STYLE, script=SCRIPT, main=_main(view))
    fields = {"content-security-policy": policy, "referrer-policy": "no-referrer", "x-frame-options": "DENY"}
    return Response(body, content_type="text/html; charset=utf-8", fields=fields)


def _main(view: dict[str, Any]) -> str:
    state = view["state"]
    facts = f"up for {_long(view['uptime'])} · Python {escape(view['python'])} · {time.strftime('%H:%M:%S')}"
    head = (
        f'<header><h1>granian <small>{escape(view["version"])}</small></h1><span class="pill {state}">{state}</span>'
        f"<p>{facts}</p></header>"
    )
    requests, hidden = view["requests"], view["requests_not_shown"]
    shown = f"the {len(requests)} oldest of {len(requests) + hidden:,}" if hidden else str(len(requests))
    return "\n".join(
        [
            head,
            _tiles(view["totals"]),
            _workers(view["workers"]),
            _section("Requests in progress", shown, _table(REQUESTS, requests, "None at the moment.")),
            _section("Slow and failed requests", str(len(view["ended"])), _table(ENDED, view["ended"], "None so far.")),
        ]
    )


def _workers(workers: Sequence[Row]) -> str:
    """Of many workers those that are out of the ordinary; all of them are a click away."""
    if len(workers) <= MANY:
        return _section("Workers", str(len(workers)), _table(WORKERS, workers, "No worker has been started."))
    odd = [worker for worker in workers if _mood(worker)]
    rest = _table(WORKERS, workers, "")
    content = (
        _table(WORKERS, odd[:MANY], "All of them are well.")
        + f"<details><summary>All workers</summary>{rest}</details>"
    )
    return _section("Workers", f"{len(odd)} of {len(workers)} out of the ordinary", content)


def _section(title: str, count: str, content: str) -> str:
    return f"<section><h2>{title} <small>{count}</small></h2>{content}</section>"


def _tiles(totals: Row) -> str:
    connections = ", ".join(f"{count:,} {protocol}" for protocol, count in totals["connections"].items() if count)
    failed = totals["answers"]["5xx"]
    tiles = [
        ("requests", f"{_number(totals['requests_per_second'])}/s", f"{sum(totals['answers'].values()):,} in all"),
        ("latency, median", _short(totals["median"]), f"95 %: {_short(totals['p95'])}, 99 %: {_short(totals['p99'])}"),
        ("errors", f"{_number(totals['errors_per_second'])}/s", f"{failed:,} of 5xx, {totals['cut']:,} cut off"),
        ("in progress", f"{totals['in_flight']:,}", f"{totals['queued']:,} in line, {totals['reading']:,} uploading"),
        ("connections", f"{sum(totals['connections'].values()):,}", connections or "none open"),
        ("memory", _size(totals["memory"]), "of all workers"),
    ]
    cells = [
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(rest)}</dd></div>"
        for name, value, rest in tiles
    ]
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _table(columns: Sequence[Column], rows: Sequence[Row], nothing: str) -> str:
    if not rows:
        return f'<p class="quiet">{nothing}</p>'
    heads = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
    lines = []
    for row in rows:
        cells = "".join(f'<td data-name="{escape(name)}">{escape(text(row))}</td>' for name, text in columns)
        lines.append(f'<tr class="{_mood(row)}">{cells}</tr>')
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _mood(row: Row) -> str:
    """What a row looks like: bad, odd or nothing."""
    is_bad = row.get("loop_lag", 0) > LATE or row.get("status", 0) >= FAILED or row.get("state") == "cut"
    is_odd = row.get("state") in ("starting", "draining", "queued")
    return "bad" if is_bad else "odd" if is_odd else ""


def _number(value: float) -> str:
    return f"{value:.1f}" if 0 < value < FEW else f"{value:,.0f}"


def _short(seconds: float | None) -> str:
    """A time in three digits or so."""
    if seconds is None:
        return "–"
    if seconds < 1:
        milliseconds = seconds * 1000
        return f"{milliseconds:.0f} ms" if milliseconds >= FEW else f"{milliseconds:.1f} ms"
    return f"{seconds:.1f} s" if seconds < MINUTE else _long(seconds)


def _long(seconds: float) -> str:
    """A time in its two largest units."""
    left = int(seconds)
    parts = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _size(count: int | None) -> str:
    if count is None:
        return "–"
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < KIBI:
            return f"{size:.0f} {unit}"
        size /= KIBI
    return f"{size:.1f} GiB"


def _ended_at(row: Row) -> str:
    return time.strftime("%H:%M:%S", time.localtime(row["ended_at"]))


def _outcome(row: Row) -> str:
    status = str(row["status"]) if row["status"] else "no answer"
    return f"{status}, cut off" if row["state"] == "cut" and row["status"] else status


FEW = 10
# Workers that all have their row at once.
MANY = 16
FAILED = 500
KIBI = 1024
MINUTE = 60
# A loop that comes so many seconds late is shown as bad.
LATE = 0.5
WORKERS: tuple[Column, ...] = (
    ("worker", lambda row: row["name"]),
    ("pid", lambda row: str(row["pid"])),
    ("state", lambda row: row["state"]),
    ("age", lambda row: _long(row["age"])),
    ("requests", lambda row: f"{_number(row['requests_per_second'])}/s"),
    ("median", lambda row: _short(row["median"])),
    ("99 %", lambda row: _short(row["p99"])),
    ("in progress", lambda row: str(row["in_flight"])),
    ("queued", lambda row: str(row["queued"])),
    ("connections", lambda row: str(row["connections"])),
    ("websockets", lambda row: str(row["websockets"])),
    ("threads", lambda row: str(row["threads"])),
    ("memory", lambda row: _size(row["memory"])),
    ("loop lag", lambda row: _short(row["loop_lag"])),
)
REQUESTS: tuple[Column, ...] = (
    ("age", lambda row: _short(row["duration"])),
    ("state", lambda row: row["state"]),
    ("method", lambda row: row["method"]),
    ("path", lambda row: row["path"]),
    ("client", lambda row: row["client"] or "a Unix socket"),
    ("protocol", lambda row: row["protocol"]),
    ("received", lambda row: _size(row["received"])),
    ("sent", lambda row: _size(row["sent"])),
    ("worker", lambda row: str(row["worker"])),
)
ENDED: tuple[Column, ...] = (
    ("ended", _ended_at),
    ("answer", _outcome),
    ("took", lambda row: _short(row["duration"])),
    ("waited", lambda row: _short(row["queue_time"])),
    ("first byte", lambda row: _short(row["first_byte_time"])),
    ("method", lambda row: row["method"]),
    ("path", lambda row: row["path"]),
    ("client", lambda row: row["client"] or "a Unix socket"),
    ("sent", lambda row: _size(row["sent"])),
    ("worker", lambda row: str(row["worker"])),
)
REST = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<title>{title}</title>
<style nonce="{nonce}">{style}</style>
</head>
<body>
<main>{main}</main>
<script nonce="{nonce}">{script}</script>
</body>
</html>
"""
STYLE = """
:root { color-scheme: light dark; --line: #8883; --quiet: #777; --bad: #c62828; --odd: #b26a00; --good: #2e7d32; }
* { box-sizing: border-box; }
body { margin: 0; font: 14px/1.45 system-ui, sans-serif; }
main { max-width: 1400px; margin: 0 auto; padding: 16px 20px 40px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; }
header p { margin: 0 0 0 auto; color: var(--quiet); }
h1 { margin: 0; font-size: 22px; }
h2 { margin: 28px 0 8px; font-size: 16px; }
small { color: var(--quiet); font-weight: normal; font-size: 14px; }
.pill { padding: 1px 10px; border-radius: 10px; color: #fff; background: var(--odd); }
.pill.serving { background: var(--good); }
summary { margin: 8px 0; color: var(--quiet); cursor: pointer; }
.quiet { color: var(--quiet); margin: 4px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 10px; margin: 16px 0 0; }
.tiles div { border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; }
.tiles dt { color: var(--quiet); }
.tiles dd { margin: 0; overflow-wrap: anywhere; }
.tiles dd:nth-of-type(1) { font-size: 22px; font-variant-numeric: tabular-nums; }
.tiles dd:nth-of-type(2) { color: var(--quiet); font-size: 13px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--quiet); white-space: nowrap; }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
td[data-name="path"] { white-space: normal; overflow-wrap: anywhere; min-width: 120px; }
.bad td:first-child, .bad td[data-name="answer"], .bad td[data-name="loop lag"] { color: var(--bad); font-weight: 600; }
.odd td[data-name="state"] { color: var(--odd); font-weight: 600; }
@media (max-width: 900px) {
  main { padding: 12px 12px 32px; }
  header p { margin-left: 0; flex-basis: 100%; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  thead { display: none; }
  tr { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 16px;
       padding: 8px 12px; margin-bottom: 10px; border: 1px solid var(--line); border-radius: 8px; }
  td { display: flex; justify-content: space-between; gap: 8px; padding: 2px 0; border: 0; min-width: 0; }
  td::before { content: attr(data-name); color: var(--quiet); flex: none; }
  td[data-name="path"], td[data-name="client"] { grid-column: 1 / -1; white-space: normal; }
}
"""
SCRIPT = """
"use strict";
setInterval(async () => {
  const selection = getSelection();
  if (document.hidden || (selection && !selection.isCollapsed)) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = found.title;
    const open = document.querySelector("details")?.open;
    if (open) found.querySelector("details")?.setAttribute("open", "");
    document.querySelector("main").replaceWith(found.querySelector("main"));
    document.documentElement.dataset.live = "yes";
  } catch {
    document.title = "granian: gone";
    const pill = document.querySelector(".pill");
    if (pill) { pill.textContent = "no answer"; pill.className = "pill"; }
  }
}, 2000);
"""
