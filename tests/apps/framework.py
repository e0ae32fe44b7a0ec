"""Shared by the framework applications: each serves these routes.

`/` a word · `/json/{n}?q=` and `POST /json` JSON both ways · `POST /upload` a multipart form ·
`/stream` lines one by one · `/large` a large body · `/background` work after the response, where
the framework has it · `/cookies` cookies both ways · `/boom` an exception · `/sync` a plain
function, where the framework calls one in a thread.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from support import note

LINES = [f"line {n}\n".encode() for n in range(100)]
LARGE = b"0123456789abcdef" * 65536


def summary(field: str, name: str, kind: str, content: bytes) -> dict[str, Any]:
    """What `/upload` answers."""
    digest = hashlib.sha256(content).hexdigest()
    return {"field": field, "name": name, "type": kind, "size": len(content), "sha256": digest}


def background(word: str) -> None:
    """What `/background` leaves behind."""
    note("background", word)


def thread_name() -> str:
    return threading.current_thread().name


class Boom(Exception):
    """What `/boom` raises."""
