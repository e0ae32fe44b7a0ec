"""ASGI lifespan: startup, state, shutdown, and each way they can fail."""

from __future__ import annotations

import pytest

TARGET = "lifespan_probe:app"


def test_startup_state_and_shutdown(server, loop):
    own = server(TARGET, "asgi", loop=loop, fresh=True, env={"PROBE_MODE": "good"})
    assert own.note("startup") == {"type": "lifespan.startup"}
    scope = own.note("scope")
    assert scope["type"] == "lifespan"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["state"] == "{}"
    lines = own.lines()
    assert lines.index('@startup {"type": "lifespan.startup"}') < lines.index("[INFO] Started worker-1")
    # Each request gets a copy of the state: what it adds is its own, what it changes is shared.
    assert own.get("/").body == b"{'shared': []}"
    assert own.get("/").body == b"{'shared': [1]}"
    own.stop()
    assert own.note("shutdown") == [{"type": "lifespan.shutdown"}, 2]
    assert own.note("end") is None


def test_without_lifespan(server):
    own = server(TARGET, "asginl", fresh=True, env={"PROBE_MODE": "good"})
    assert own.get("/").body == b"{}"
    own.stop()
    assert "@startup" not in own.log()
    assert "@shutdown" not in own.log()


@pytest.mark.parametrize("mode", ["failed", "failed silently"])
def test_startup_failed(launch, mode):
    failing = launch(TARGET, "asgi", env={"PROBE_MODE": mode})
    assert failing.wait_exit(15) == 1
    assert "ASGI lifespan startup failed" in failing.log()
    assert ("no database" in failing.log()) == (mode == "failed")
    assert "Started worker-1" not in failing.log()


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("raise", "ValueError: startup broke"),
        ("nonsense", ""),
    ],
)
def test_broken_lifespan_is_told_and_done_without(server, mode, error):
    own = server(TARGET, "asgi", fresh=True, env={"PROBE_MODE": mode})
    assert own.get("/").status == 200
    own.wait_line("ASGI Lifespan errored, continuing without Lifespan support")
    own.stop()
    assert error in own.log()
    assert "@shutdown" not in own.log()


def test_application_without_lifespan_is_no_fault(server, loop):
    own = server(TARGET, "asgi", "--log-level", "debug", loop=loop, fresh=True, env={"PROBE_MODE": "unsupported"})
    assert own.get("/").status == 200
    own.stop()
    line = "[DEBUG] The application has no ASGI lifespan (NotImplementedError: no lifespan here)"
    assert own.lines().count(line) == 1
    assert "Traceback" not in own.log()
    assert "[WARNING]" not in own.log()


def test_django_says_nothing(server):
    """Its ASGI handler refuses every scope but requests'."""
    pytest.importorskip("django")
    own = server("django_asgi:app", "asgi", fresh=True)
    own.stop()
    assert "Traceback" not in own.log()
    assert not [line for line in own.lines() if not line.startswith("[INFO]")]


def test_returning_lifespan_is_done(server):
    own = server(TARGET, "asgi", fresh=True, env={"PROBE_MODE": "return"})
    assert own.get("/").body == b"{'shared': []}"
    own.stop()
    assert "@shutdown" not in own.log()


def test_lifespan_that_crashes_later(server):
    own = server(TARGET, "asgi", fresh=True, env={"PROBE_MODE": "crash"})
    assert own.get("/").status == 200
    own.stop()
    assert "ValueError: crashed while serving" in own.log()


@pytest.mark.parametrize(
    ("mode", "sign"), [("shutdown failed", "could not flush"), ("shutdown raise", "ValueError: shutdown broke")]
)
def test_shutdown_that_fails(server, mode, sign):
    own = server(TARGET, "asgi", fresh=True, env={"PROBE_MODE": mode})
    assert own.get("/").status == 200
    own.stop()
    assert own.note("shutdown")[0] == {"type": "lifespan.shutdown"}
    assert sign in own.log()
