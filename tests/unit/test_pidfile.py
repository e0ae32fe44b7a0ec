"""`granian.supervisor.pidfile`: whose file it is."""

import os
import stat
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


@pytest.mark.parametrize("content", ["no number", "12x", "0", "-1"])
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


@pytest.mark.parametrize("content", ["", "\n"])
def test_empty_file_is_nobodys(tmp_path, content):
    """A start on a full disk left one, and the next start refused to start."""
    path = tmp_path / "pid"
    path.write_text(content)
    PidFile(path).write()
    assert path.read_text() == str(os.getpid())


FULL_DISK = """
import pathlib, resource, sys
from granian.supervisor.pidfile import PidFile
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
PidFile(pathlib.Path(sys.argv[1])).write()
"""


@pytest.mark.parametrize("there", [None, "", "dead"])
def test_full_disk_leaves_everything_as_it_was(tmp_path, there):
    path = tmp_path / "pid"
    content = str(dead_pid()) if there == "dead" else there
    if content is not None:
        path.write_text(content)
    child = subprocess.run([sys.executable, "-B", "-c", FULL_DISK, str(path)], capture_output=True, text=True)
    assert f"PidFileError: Unable to write the PID file {path}: File too large" in child.stderr
    assert [item.name for item in tmp_path.iterdir()] == ([] if content is None else ["pid"])
    assert content is None or path.read_text() == content


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("stale", [False, True])
def test_everybody_may_read_it(tmp_path, umask, stale):
    path = tmp_path / "pid"
    if stale:
        path.write_text("")
        path.chmod(0o600)
    before = os.umask(umask)
    try:
        PidFile(path).write()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("there", [True, False])
def test_symbolic_links_are_refused(tmp_path, there):
    """Whoever may write to the folder would choose what the server overwrites."""
    path, target = tmp_path / "pid", tmp_path / "target"
    if there:
        target.write_text("")
    path.symlink_to(target)
    with pytest.raises(PidFileError, match="it is a symbolic link"):
        PidFile(path).write()
    assert path.is_symlink()
    assert not there or target.read_text() == ""


def test_a_link_in_its_place_is_not_removed(tmp_path):
    path = tmp_path / "pid"
    pid_file = PidFile(path)
    pid_file.write()
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    pid_file.remove()
    assert path.is_symlink()
    assert (tmp_path / "moved").exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(tmp_path, make):
    make(tmp_path / "pid")
    with pytest.raises(PidFileError, match="it is no plain file"):
        PidFile(tmp_path / "pid").write()


def test_folder_of_somebody_else(tmp_path, monkeypatch):
    """A file that was put there for us is written in place, and emptied at the end."""
    path = tmp_path / "pid"
    path.write_text("")
    number = path.stat().st_ino

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    pid_file = PidFile(path)
    pid_file.write()
    assert path.read_text() == str(os.getpid())
    assert path.stat().st_ino == number
    monkeypatch.setattr(type(path), "unlink", refuse)
    pid_file.remove()
    monkeypatch.undo()
    assert path.read_text() == ""
    assert [item.name for item in tmp_path.iterdir()] == ["pid"]


def test_readers_never_see_half_of_it(tmp_path, monkeypatch):
    path = tmp_path / "pid"
    path.write_text(str(dead_pid()))
    old = path.stat().st_ino
    PidFile(path).write()
    assert path.stat().st_ino != old
