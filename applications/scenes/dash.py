"""Dash: a page whose every key press is a request."""

from __future__ import annotations

from ..scene import Scene, Visit, browsing


def visit(visit: Visit) -> str:
    """Types, and waits for what the callback makes of it."""
    with browsing(visit.url) as page:
        page.locator("#text").press_sequentially("granian", delay=20)
        page.get_by_text("GRANIAN!", exact=True).wait_for()
    return "7 key presses, the callback's text in the page"


SCENE = Scene(
    name="Dash",
    package="dash",
    target="dash_app:app",
    done="browser: typing into a callback",
    visit=visit,
    interface="WSGI",
)
