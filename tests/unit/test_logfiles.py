"""`granian.worker.logfiles`: files that are opened anew, or cannot be."""

from __future__ import annotations

import logging
import logging.config
import shutil

import pytest

from granian.log import access_logger, logger
from granian.worker.logfiles import keep_loggers, reopen_log_files


@pytest.fixture
def handler(tmp_path):
    (tmp_path / "logs").mkdir()
    handler = logging.FileHandler(tmp_path / "logs" / "file")
    logging.getLogger("theirs").addHandler(handler)
    yield handler
    handler.close()


def test_moved_file(handler, tmp_path):
    old = handler.stream
    (tmp_path / "logs" / "file").rename(tmp_path / "moved")
    reopen_log_files()
    logging.getLogger("theirs").warning("after")
    assert old.closed
    assert (tmp_path / "logs" / "file").read_text() == "after\n"


def test_folder_that_is_gone(handler, tmp_path):
    """It ended the service."""
    (tmp_path / "logs" / "file").rename(tmp_path / "moved")
    shutil.rmtree(tmp_path / "logs")
    reopen_log_files()
    logging.getLogger("theirs").warning("after")
    assert (tmp_path / "moved").read_text() == "after\n"


def test_application_that_switches_loggers_off():
    before = {item: item.disabled for item in (logger, access_logger)}
    try:
        logger.disabled = access_logger.disabled = True
        keep_loggers()
        assert not logger.disabled
        assert not access_logger.disabled
    finally:
        for item, value in before.items():
            item.disabled = value
