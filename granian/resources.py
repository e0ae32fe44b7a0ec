"""The CPUs and the memory that this process may use: those of the machine, and the limits of its control group.

`cpu.max` and `memory.max` of cgroup v2, `cpu.cfs_quota_us` and `memory.limit_in_bytes` of v1. A group is bound by the
limits of those above it. Where a container sees its own group as the root, that is the last one looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def cpus() -> float:
    """The processors that may be kept busy at once, such as 0.5 or 4."""
    return min(_affinity(), cpu_quota() or _affinity())


def whole_cpus() -> int:
    """The same, rounded, at least 1."""
    return max(1, int(cpus() + 0.5))


@lru_cache(maxsize=1)
def memory() -> int | None:
    """The bytes of memory that the control group may use; `None` without a limit."""
    return memory_limit()


def worker_count() -> int:
    """The workers that keep the CPUs busy, as far as there are 128 MiB for each."""
    limit = memory()
    fitting = whole_cpus() if limit is None else limit // WORKER
    return max(1, min(whole_cpus(), fitting))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors, by the quota of the control group; `None` without one."""
    found = []
    for folder in _groups(root, "cpu"):
        one = _numbers(folder / "cpu.max")
        # The files of v1 have a number each; -1 says that there is no quota.
        two = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        pairs = [pair for pair in (one, two) if len(pair) == 2]
        found += [quota / period for quota, period in pairs if quota > 0 and period > 0]
    return min(found, default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes, by the limit of the control group; `None` without one."""
    found = []
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            found += [limit for limit in _numbers(folder / name) if 0 < limit < UNLIMITED]
    return min(found, default=None)


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's group and of those above it, in the hierarchy that has the controller."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            bases = [mounted, mounted / "unified"]
        elif controller in names.split(","):
            bases = [mounted / names, mounted / controller]
        else:
            continue
        inside = Path(path.lstrip("/"))
        for base in bases:
            yield from (base / part for part in (inside, *inside.parents))


def _numbers(file: Path) -> tuple[int, ...]:
    """The numbers in a file; none if it is not there, or says `max`."""
    try:
        return tuple(map(int, file.read_text().split()))
    except (OSError, ValueError):
        return ()


# In v1 the largest page of memory that a number can count says that there is no limit.
UNLIMITED = 1 << 60
# Bytes that a worker with a framework and an application of some size takes.
WORKER = 128 << 20
