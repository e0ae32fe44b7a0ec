"""Process titles, where setproctitle is installed."""

from __future__ import annotations


def set_title(title: str | None) -> None:
    """Sets the title of this process, if there is one to set and something to set it with."""
    if title is None:
        return
    try:
        from setproctitle import setproctitle, setthreadtitle
    except ImportError:
        return
    setproctitle(title)
    # The kernel's short name is the title's beginning. CPython splits /proc/self/stat at spaces when it counts threads
    # after a fork: with a space in that name it counts wrong, and warns of threads that there are not.
    setthreadtitle("-".join(title.split())[:SHORT_NAME].rstrip("-"))


# Bytes of the kernel's name of a thread.
SHORT_NAME = 15
