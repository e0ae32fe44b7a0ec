"""The messages between a worker and its supervisor over their pipe."""

from __future__ import annotations

from enum import Enum


class Report(Enum):
    """From a worker; each comes with a text or None."""

    BOOTING = "booting"
    READY = "ready"
    BEAT = "beat"
    # The worker has served its number of requests.
    SPENT = "spent"
    # The worker has stopped accepting. The text is the reason, if it was not told to.
    DRAINING = "draining"
    # The worker could not start. The text is for the log.
    FAILED = "failed"
    GONE = "gone"


class Command(Enum):
    """From the supervisor; each comes with a value or None."""

    # Accept on one more socket: its number, and its descriptor, or None if that follows.
    LISTEN = "listen"
    # Stop accepting on the socket of this number.
    UNLISTEN = "unlisten"
    # Read certificates and keys anew.
    RELOAD_TLS = "reload_tls"
    # Say on the health path that it is not ready, and serve on.
    UNREADY = "unready"
    # Another worker is there in this one's place; comes before the stop.
    REPLACED = "replaced"
    # Drain. Threads and applications that have taken the signal get no other word.
    STOP = "stop"
    # End the drain: requests that still run are cancelled.
    CANCEL = "cancel"
    # Open log files anew.
    REOPEN_LOGS = "reopen_logs"
