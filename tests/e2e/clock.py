"""Time as a server sees it, put forward while it runs: a library that is loaded before libc asks a file.

Whoever sleeps goes on sleeping: what is to be seen at once needs something that wakes the server, such as a request.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long *ahead;

__attribute__((constructor)) static void load(void) {
    int file = open(getenv("TEST_CLOCK"), O_RDONLY);
    void *page = mmap(0, 2 * sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    ahead = page == MAP_FAILED ? 0 : page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (ahead && clock == CLOCK_REALTIME) now->tv_sec += ahead[0];
    if (ahead && clock == CLOCK_MONOTONIC) now->tv_sec += ahead[1];
    return result;
}
"""


class Clock:
    """For servers that are started with its `env`."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("there is no C compiler")
        source, library, page = folder / "clock.c", folder / "clock.so", folder / "clock"
        source.write_text(SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        page.write_bytes(struct.pack("ll", 0, 0))
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 0)
        self.env = {"LD_PRELOAD": str(library), "TEST_CLOCK": str(page)}

    def set_ahead(self, seconds: int) -> None:
        """By how much the time of day is to be ahead."""
        self._page[:8] = struct.pack("l", seconds)

    def set_phase(self, period: int, phase: int) -> int:
        """Puts the time of day forward until `phase` seconds of a period have passed; by how much."""
        ahead = (phase - int(time.time())) % period
        self.set_ahead(ahead)
        return ahead

    def pass_by(self, seconds: int) -> None:
        """Lets so much time pass for timeouts, which do not go by the time of day."""
        (ahead,) = struct.unpack("l", self._page[8:])
        self._page[8:] = struct.pack("l", ahead + seconds)
