"""python-socketio: its own client, by websocket at once and by polling that is upgraded to one."""

from __future__ import annotations

import socketio

from ..scene import Scene, Visit


def visit(visit: Visit) -> str:
    """Two clients hear what one of them says."""
    with socketio.SimpleClient() as first, socketio.SimpleClient() as second:
        first.connect(visit.url, transports=["websocket"])
        # Not by polling alone: that client leaves a request behind, which is answered with the next ping only.
        second.connect(visit.url)
        for number in range(3):
            text = f"text {number}"
            assert first.call("shout", text) == len(text)
            heard = first.receive(timeout=10), second.receive(timeout=10)
            assert heard == (["heard", text.upper()],) * 2, heard
    return "3 answers and 3 broadcasts, to a websocket and one that began by polling"


SCENE = Scene(
    name="python-socketio",
    package="python-socketio",
    target="socketio_app:app",
    done="socketio.SimpleClient: calls and events",
    visit=visit,
)
