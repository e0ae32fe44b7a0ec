"""`granian.supervisor.pidfile`: whose file it is."""

import os
import subprocess
import sys

import pytest

from granian.errors import PidFileError
from granian.supervisor.pidfile import PidFile


def dead_pid():
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(child.stdout)


def test_written_without_a_newline_and_removed(tmp_path):
    path = tmp_path / "pid"
    pid_file = PidFile(path)
    pid_file.write()
    assert path.read_text() == str(os.getpid())
    pid_file.remove()
    assert not path.exists()
    pid_file.remove()


def test_live_owner_is_respected(tmp_path):
    path = tmp_path / "pid"
    path.write_text(str(os.getppid()))
    with pytest.raises(PidFileError, match=f"already exists for {os.getppid()}"):
        PidFile(path).write()
    assert path.read_text() == str(os.getppid())


def test_dead_owner_is_replaced(tmp_path):
    path = tmp_path / "pid"
    path.write_text(str(dead_pid()))
    PidFile(path).write()
    assert path.read_text() == str(os.getpid())


@pytest.mark.parametrize("content", ["", "no number", "12x"])
def test_file_of_another_kind(tmp_path, content):
    path = tmp_path / "pid"
    path.write_text(content)
    with pytest.raises(PidFileError, match="Unable to read existing PID file"):
        PidFile(path).write()
    assert path.read_text() == content


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(PidFileError):
        PidFile(tmp_path / "absent" / "pid").write()


def test_only_our_own_file_is_removed(tmp_path):
    path = tmp_path / "pid"
    pid_file = PidFile(path)
    pid_file.write()
    path.write_text(str(os.getppid()))
    pid_file.remove()
    assert path.exists()
