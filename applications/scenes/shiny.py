"""Shiny for Python: a page that lives by its websocket."""

from __future__ import annotations

from ..scene import Scene, Visit, browsing


def visit(visit: Visit) -> str:
    """Changes a number, and waits for its square."""
    with browsing(visit.url) as page:
        page.get_by_text("square 9", exact=True).wait_for()
        page.fill("#number", "12")
        page.locator("#number").press("Tab")
        page.get_by_text("square 144", exact=True).wait_for()
    return "a reactive output, twice"


SCENE = Scene(name="Shiny", package="shiny", target="shiny_app:app", done="browser: a reactive value", visit=visit)
