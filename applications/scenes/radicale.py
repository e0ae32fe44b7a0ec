"""Radicale: calendars over CalDAV (PROPFIND, REPORT, PUT and their kin)."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import caldav

from ..scene import Scene, Visit

CONFIGURATION = """
[auth]
type = htpasswd
htpasswd_filename = users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = collections
"""
DAY = datetime(2030, 1, 2, 10, tzinfo=timezone.utc)


def prepare(folder: Path) -> None:
    """Writes its configuration."""
    (folder / "collections" / "collection-root").mkdir(parents=True)
    (folder / "config").write_text(CONFIGURATION)
    (folder / "users").write_text("ada:lovelace\n")


def visit(visit: Visit) -> str:
    """Makes a calendar, puts events there, finds and deletes them."""
    with caldav.DAVClient(url=visit.url, username="ada", password="lovelace") as client:
        calendar = client.principal().make_calendar(name=f"Visit {visit.number}")
        for number in range(20):
            start = DAY.replace(hour=number)
            calendar.save_event(dtstart=start, dtend=start.replace(minute=30), summary=f"Event {number} é")
        found = calendar.search(start=DAY, end=DAY.replace(hour=12, minute=1), event=True, expand=False)
        names = sorted(str(event.icalendar_component["summary"]) for event in found)
        assert names == ["Event 10 é", "Event 11 é", "Event 12 é"], names
        for event in calendar.events():
            event.delete()
        assert calendar.events() == []
        calendar.delete()
    return "a calendar made, 20 events put, 3 found by date, all deleted"


SCENE = Scene(
    name="Radicale",
    package="radicale",
    target="radicale:application",
    done="caldav: a calendar with events",
    visit=visit,
    interface="WSGI",
    prepare=prepare,
    environment={"RADICALE_CONFIG": "config"},
)
