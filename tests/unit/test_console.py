"""`granian.console`: lines for a pipe that nobody reads, or whose reader has gone."""

from __future__ import annotations

import fcntl
import logging
import os
import time

import pytest

from granian import console
from granian.console import Console


class Pipe:
    """A pipe that a console writes to, and that is read when the test says so."""

    def __init__(self):
        self.reader, writer = os.pipe()
        self.stream = os.fdopen(writer, "w", encoding="utf-8")
        self.console = Console(self.stream)

    def fill(self):
        """Leaves no room."""
        writer = self.stream.fileno()
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)

    def say(self, text):
        self.console.handle(logging.LogRecord("a", logging.INFO, __file__, 1, text, (), None))

    def read(self):
        """All that is there."""
        os.set_blocking(self.reader, False)
        found = b""
        while True:
            try:
                found += os.read(self.reader, 1 << 20)
            except BlockingIOError:
                return found.decode()

    def hang_up(self):
        os.close(self.reader)
        self.reader = None

    def close(self):
        if self.reader is not None:
            os.close(self.reader)
        self.stream.close()


@pytest.fixture
def pipe(monkeypatch):
    monkeypatch.setattr(console, "PATIENCE", 0.05)
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_lines(pipe):
    pipe.say("one")
    pipe.say("two")
    assert pipe.read() == "one\ntwo\n"


def test_lines_after_the_applications(pipe):
    print("before", file=pipe.stream)
    pipe.say("one")
    print("behind", file=pipe.stream, flush=True)
    assert pipe.read() == "before\none\nbehind\n"


@pytest.mark.alone
def test_nobody_reads(pipe, capsys):
    pipe.fill()
    started = time.monotonic()
    for number in range(1000):
        pipe.say(f"{number}")
    pipe.console.flush()
    # One wait, not a thousand.
    assert time.monotonic() - started < 40 * console.PATIENCE
    assert set(pipe.read()) == {"x"}
    pipe.say("there")
    pipe.say("again")
    lines = pipe.read().splitlines()
    assert lines == ["[WARNING] 1000 lines of the log could not be written: nobody was reading it", "there", "again"]
    assert capsys.readouterr().err == ""


def test_line_that_is_cut(pipe):
    """It is larger than the room that there is."""
    capacity = fcntl.fcntl(pipe.stream.fileno(), fcntl.F_SETPIPE_SZ, 4096 * 4)
    pipe.say("y" * 2 * capacity)
    assert pipe.read() == "y" * capacity
    pipe.say("behind")
    remark = "[WARNING] 1 line of the log could not be written: nobody was reading it"
    assert pipe.read() == f"\n{remark}\nbehind\n"


def test_long_lines_arrive_whole(pipe):
    pipe.say("é" * 10_000)
    assert pipe.read() == "é" * 10_000 + "\n"


def test_reader_has_gone(pipe, capsys):
    pipe.hang_up()
    pipe.say("one")
    pipe.console.flush()
    assert capsys.readouterr().err == ""


def test_somebody_has_made_the_pipe_non_blocking(pipe):
    pipe.fill()
    os.set_blocking(pipe.stream.fileno(), False)
    pipe.say("lost")
    pipe.read()
    pipe.say("there")
    assert pipe.read().endswith("reading it\nthere\n")


def test_stream_of_another_kind(tmp_path):
    with (tmp_path / "file").open("w") as stream:
        Console(stream).handle(logging.LogRecord("a", logging.INFO, __file__, 1, "one", (), None))
        assert (tmp_path / "file").read_text() == "one\n"
