"""NiceGUI: a page that lives by its websocket (socket.io)."""

from __future__ import annotations

from ..scene import Scene, Visit, browsing


def visit(visit: Visit) -> str:
    """Presses a button whose handler runs on the server."""
    with browsing(visit.url) as page:
        for number in range(1, 4):
            page.get_by_role("button", name="More").click()
            page.get_by_text(f"count {number}", exact=True).wait_for()
        page.get_by_text("ticked", exact=True).wait_for()
    return "3 clicks counted on the server, a timer of the server's"


SCENE = Scene(
    name="NiceGUI",
    package="nicegui",
    target="nicegui_app:app",
    done="browser: clicks, and what the server pushes",
    visit=visit,
)
