"""What a worker and its supervisor tell each other over their pipe."""

from __future__ import annotations

from enum import Enum


class Report(Enum):
    """From a worker; each comes with a text or None."""

    BOOTING = "booting"
    READY = "ready"
    BEAT = "beat"
    # It has served as many requests as it should.
    SPENT = "spent"
    # It accepts nothing any more; the text says why, if it has not been told to.
    DRAINING = "draining"
    # It could not start; the text is for the log.
    FAILED = "failed"
    GONE = "gone"


class Command(Enum):
    """From the supervisor; each comes with a value or None."""

    # Accept on one more socket: its number, and its descriptor, or None if that follows.
    LISTEN = "listen"
    # Leave the socket of this number to others.
    UNLISTEN = "unlisten"
    # Read certificates and keys anew.
    RELOAD_TLS = "reload_tls"
    # Another worker is there in this one's place; comes before the stop.
    REPLACED = "replaced"
    # For workers that no signal can be sent to.
    STOP = "stop"
    # Drain no longer: what still runs is cancelled.
    CANCEL = "cancel"
