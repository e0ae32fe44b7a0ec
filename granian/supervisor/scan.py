"""Changes of files found by looking at all of them, where the system does not tell and what may not be read is met."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Path: when it was modified (ns), and its size.
Snapshot = dict[str, tuple[int, int]]


def scanned(paths: Sequence[Path], wanted: Callable[[Any, str], bool], interval: float) -> Iterator[set[Any]]:
    """What `watchfiles.watch` would give: a set of changes and paths every `interval` seconds, empty if there are none.

    Folders and files that cannot be read are left out.
    """
    from watchfiles import Change

    before = _look(paths, wanted)
    while True:
        yield set()
        time.sleep(interval)
        now = _look(paths, wanted)
        changes = {(Change.added, path) for path in now.keys() - before.keys()}
        changes |= {(Change.deleted, path) for path in before.keys() - now.keys()}
        changes |= {(Change.modified, path) for path in now.keys() & before.keys() if now[path] != before[path]}
        before = now
        if changes:
            yield changes


def _look(paths: Sequence[Path], wanted: Callable[[Any, str], bool]) -> Snapshot:
    from watchfiles import Change

    found: Snapshot = {}
    for path in paths:
        if path.is_file():
            _note(str(path), found)
        for folder, folders, files in os.walk(path):
            # What is below a folder that is not wanted is not either.
            folders[:] = [name for name in folders if wanted(Change.modified, os.path.join(folder, name))]
            for name in files:
                if wanted(Change.modified, file := os.path.join(folder, name)):
                    _note(file, found)
    return found


def _note(path: str, found: Snapshot) -> None:
    try:
        facts = os.stat(path)
    except OSError:
        # It is gone, or a link to nowhere.
        return
    found[path] = facts.st_mtime_ns, facts.st_size
