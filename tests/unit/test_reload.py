"""`granian.supervisor.reload`: a watcher does not outlive its supervisor, even where the system does not tell it."""

from __future__ import annotations

import multiprocessing
import signal

import pytest

from granian.config import Config
from granian.supervisor import reload
from granian.worker.tie import Tie

# A process of many threads, as that of a distributed run, is not to fork.
SPAWN = multiprocessing.get_context("spawn")


def _watch_untied(config, pipe) -> None:
    Tie.hold = lambda self: None
    reload._watch(config, pipe, reload.Outputs(), Tie(), [])


def test_watcher_without_a_supervisor(tmp_path):
    pytest.importorskip("watchfiles")
    config = Config.from_kwargs(target="a:b", reload=True, reload_paths=[tmp_path])
    ours, theirs = multiprocessing.Pipe(duplex=False)
    watcher = SPAWN.Process(target=_watch_untied, args=(config, theirs))
    watcher.start()
    try:
        theirs.close()
        assert ours.recv() is None
        ours.close()
        watcher.join(10)
        assert watcher.exitcode == 0
    finally:
        watcher.kill()
        watcher.join()
        watcher.close()


def test_signals_of_the_supervisor_are_not_ignored_by_grandchildren():
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = SPAWN.Process(target=_tell, args=(theirs,))
    process.start()
    theirs.close()
    assert ours.recv() == [True] * 3
    process.join()
    ours.close()


def _tell(pipe) -> None:
    reload.reset_signals()
    pipe.send([callable(signal.getsignal(number)) for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)])


def test_step_and_exceptions_of_the_watcher(tmp_path, monkeypatch):
    watchfiles = pytest.importorskip("watchfiles")
    given = {}

    def watch(*paths, **options):
        given.update(options)
        return iter(())

    monkeypatch.setattr(watchfiles, "watch", watch)
    config = Config.from_kwargs(
        target="a:b",
        reload=True,
        reload_tick=75,
        reload_ignore_paths=[tmp_path / "paths"],
        reload_ignore_dirs="dirs",
        reload_ignore_patterns=r"\.pattern$",
    )
    watch_filter = reload.make_filter(config, reload.Outputs())
    assert list(reload._told(config, [tmp_path], watch_filter)) == []
    assert given["step"] == 75

    def is_seen(path):
        return watch_filter(watchfiles.Change.modified, str(tmp_path / path))

    assert is_seen("main.py")
    assert not any(map(is_seen, ["paths/main.py", "dirs/main.py", "main.pattern"]))


def _watch_unaided(config, pipe) -> None:
    import watchfiles

    def watch(*paths, **options):
        raise OSError("OS file watch limit reached.")

    watchfiles.watch = watch
    reload.ROUND = 20
    reload._watch(config, pipe, reload.Outputs(), Tie(), [])


def test_system_that_cannot_watch(tmp_path):
    """Without the watches that a large tree needs, files are looked at instead."""
    pytest.importorskip("watchfiles")
    (tmp_path / "gone.py").write_text("")
    (tmp_path / "changed.py").write_text("")
    for name in ("ignored.pyc", "node_modules/ignored.py", "below/kept.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    config = Config.from_kwargs(target="a:b", reload=True, reload_paths=[tmp_path])
    ours, theirs = multiprocessing.Pipe(duplex=False)
    watcher = SPAWN.Process(target=_watch_unaided, args=(config, theirs))
    watcher.start()
    try:
        theirs.close()
        assert "OS file watch limit reached." in ours.recv()
        assert ours.recv() is None
        for name in ("new.py", "node_modules/new.py", "new.pyc"):
            (tmp_path / name).write_text("")
        assert ours.recv() == [f"Added: {tmp_path / 'new.py'}"]
        (tmp_path / "gone.py").unlink()
        assert ours.recv() == [f"Deleted: {tmp_path / 'gone.py'}"]
        (tmp_path / "changed.py").write_text("more")
        assert ours.recv() == [f"Modified: {tmp_path / 'changed.py'}"]
    finally:
        watcher.kill()
        watcher.join()
        watcher.close()
        ours.close()
