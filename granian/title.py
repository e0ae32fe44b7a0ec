"""Process titles, where setproctitle is installed."""

from __future__ import annotations


def set_title(title: str | None) -> None:
    """Sets the title of this process, if there is one to set and something to set it with."""
    if title is None:
        return
    try:
        from setproctitle import setproctitle
    except ImportError:
        return
    setproctitle(title)
