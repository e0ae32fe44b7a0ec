"""Resident memory of processes, for other projects; the supervisor's own look is in `supervisor.health`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .supervisor.health import resident_bytes


class ProcInfoCollector:
    """Reads it from the system at every call."""

    def memory(self, pids: Sequence[int] | None = None) -> dict[int, int]:
        """Bytes by process id, of this process if none is given; `RuntimeError` if one is gone."""
        found: dict[int, int] = {}
        for pid in [os.getpid()] if pids is None else pids:
            size = resident_bytes(pid)
            if size is None:
                raise RuntimeError(f"No process {pid}")
            found[pid] = size
        return found
