"""`granian._procinfo`: resident memory by process id."""

import os
import subprocess
import sys

import pytest

from granian._procinfo import ProcInfoCollector


def test_own_process():
    memory = ProcInfoCollector().memory()
    assert list(memory) == [os.getpid()]
    assert memory[os.getpid()] > 1024 * 1024


def test_named_processes():
    pids = [os.getpid(), os.getppid()]
    assert sorted(ProcInfoCollector().memory(pids)) == sorted(pids)


def test_process_that_is_gone():
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with pytest.raises(RuntimeError, match="No process"):
        ProcInfoCollector().memory([int(child.stdout)])
