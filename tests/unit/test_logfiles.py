"""Log files that are opened anew."""

from __future__ import annotations

import logging

from granian.supervisor.logfiles import reopen_log_files


def test_moved_file(tmp_path):
    path = tmp_path / "log"
    handler, item = logging.FileHandler(path), logging.getLogger("test.logfiles")
    item.addHandler(handler)
    try:
        item.warning("first")
        path.rename(tmp_path / "log.1")
        reopen_log_files()
        item.warning("second")
        assert path.read_text() == "second\n"
        # Where there is no place for a new one, the old one goes on.
        path.rename(tmp_path / "log.2")
        handler.baseFilename = str(tmp_path / "nowhere" / "log")
        reopen_log_files()
        item.warning("third")
        assert (tmp_path / "log.2").read_text() == "second\nthird\n"
    finally:
        item.removeHandler(handler)
        handler.close()
