"""Files that the server writes, on a disk that is full (a tmpfs of 64 KiB; Linux, as root)."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import TARGETS, Server
from .wire import request_bytes

GET = request_bytes("GET", "/")
COUNT = 4000
REMARK = re.compile(r"^\[WARNING\] (\d+) lines? of the access log could not be written$", re.MULTILINE)


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_access_log_goes_on_when_there_is_room(server, disk):
    """No answer waits for the disk, and the lines that were lost are counted in the file."""
    log = disk / "access.log"
    options = ("--access-log", "--access-log-fmt", "@access %(path)s %(status)d", "--access-log-file", str(log))
    probe: Server = server(*TARGETS["asgi"], *options, fresh=True)
    (disk / "other").write_bytes(bytes(48 * 1024))
    with probe.connect() as wire:
        for _ in range(COUNT // 100):
            wire.send(GET * 100)
            assert all(wire.response().body == b"hello" for _ in range(100))
    end = time.monotonic() + 10
    while os.statvfs(disk).f_bavail:
        assert time.monotonic() < end
        time.sleep(0.005)
    (disk / "other").unlink()
    asked = COUNT
    while not (lost := REMARK.findall(log.read_text())):
        assert time.monotonic() < end
        assert probe.get("/").status == 200
        asked += 1
    probe.stop()
    written = re.findall(r"^@access / 200$", log.read_text(), re.MULTILINE)
    assert len(written) + sum(map(int, lost)) == asked
