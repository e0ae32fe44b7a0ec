"""Measures the processes of a soak, from /proc: memory, descriptors, children, connections."""

from __future__ import annotations

import os
import re
from pathlib import Path


def resident(pid: int) -> int:
    """KiB of memory that are resident, 0 if the process is gone."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def descriptors(pid: int) -> int:
    """The number of open descriptors; 0 if the process has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Child processes, those included that nobody has waited for."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def peers(pid: int) -> set[int]:
    """The ports of all whose connections the process has accepted."""
    inodes = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            continue
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in inodes:
            found.add(int(fields[2].rpartition(":")[2], 16))
    return found - {0}


def stopped(pid: int) -> bool:
    """Whether SIGSTOP has taken effect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZX"
    except OSError:
        return True
