"""`GRANIAN_DISABLE` turns mechanisms off by name; a name that is none ends the start."""

from __future__ import annotations

import sys

import pytest

from granian.mechanisms import NAMES

from .conftest import HELLO

COMMAND = [sys.executable, "-m", "granian", "--interface", "asginl", "--port", "0", "main:app"]


@pytest.mark.parametrize("names", ["", ", ".join(sorted(NAMES))])
def test_known_names(program, names):
    service = program(HELLO, command=COMMAND, env={"GRANIAN_DISABLE": names})
    service.wait_line("Started worker")
    service.terminate()
    assert service.wait_exit() == 0


def test_unknown_name(program):
    service = program(HELLO, command=COMMAND, env={"GRANIAN_DISABLE": "adaptive-limit,gate"})
    assert service.wait_exit(20) == 1
    [line] = [line for line in service.lines() if "[ERROR]" in line]
    assert "GRANIAN_DISABLE: no such mechanism: gate (there are: adaptive-limit, " in line
