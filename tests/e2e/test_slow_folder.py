"""Files on a file system that does not answer, or is gone, hold up nobody else (FUSE; Linux, as root)."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server, script
from .slow_folder import LOOKUP, OPEN, READ, SlowFolder, slow_folder
from .test_placement import MT
from .wire import DEADLINE, Wire

LARGE = bytes(range(256)) * 1024
# More than there are threads for one folder, and than calls that may run at once.
MANY = 20
# Each test has its own files, which the kernel knows nothing of before.
NAMES = [f"{test}-{number}" for test in range(6) for number in range(MANY)]
FILES = {f"large-{test}": LARGE for test in range(9)} | {name: name.encode() for name in NAMES}


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Path:
    """A folder of a disk that answers."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / "large.bin").write_bytes(LARGE)
    for number in range(10):
        (folder / f"{number}.txt").write_bytes(b"quick %d" % number)
    return folder


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> Iterator[SlowFolder]:
    try:
        mounted = slow_folder(tmp_path_factory.mktemp("slow") / "folder", FILES)
        folder = mounted.__enter__()
    except OSError as error:
        pytest.skip(f"no file system can be mounted: {error}")
    yield folder
    mounted.__exit__(None, None, None)


@pytest.fixture(params=["asgi"])
def app(request, server, slow, quick) -> Iterator[Server]:
    mounts = (
        *("--static-path-route", "/slow", "--static-path-mount", str(slow.path)),
        *("--static-path-route", "/quick", "--static-path-mount", str(quick)),
    )
    yield server(*TARGETS[request.param], *mounts, "--backpressure", "8")
    slow.release()


def ask(app: Server, test: int) -> list[Wire]:
    """Requests for the slow files of a test, none of which is waited for."""
    wires = [app.connect() for _ in range(MANY)]
    for number, wire in enumerate(wires):
        wire.request("GET", f"/slow/{test}-{number}")
    return wires


def check_others(app: Server, quick: Path) -> None:
    for number in range(10):
        assert app.get(f"/quick/{number}.txt").body == b"quick %d" % number
    assert app.get("/quick/large.bin").body == LARGE
    assert app.get("/").body == b"hello"
    send = f"await send({{'type': 'http.response.pathsend', 'path': {str(quick / 'large.bin')!r}}})"
    assert app.get("/script", script("await start()", send)).body == LARGE


@pytest.mark.parametrize(("test", "kind"), [(0, LOOKUP), (1, OPEN), (2, READ)], ids=["names", "opens", "reads"])
def test_a_folder_that_does_not_answer(app, quick, slow, test, kind):
    slow.hold(kind)
    wires = ask(app, test)
    slow.wait_held(1)
    check_others(app, quick)
    slow.release()
    for number, wire in enumerate(wires):
        assert wire.response().text == f"{test}-{number}"


@pytest.mark.parametrize(("test", "placement"), [(4, ()), (5, MT)], ids=["st", "mt"])
def test_calls_are_not_paced_by_a_folder_that_does_not_answer(server, slow, test, placement):
    mount = ("--static-path-route", "/slow", "--static-path-mount", str(slow.path))
    app = server(*TARGETS["asgi"], *placement, *mount, "--overload", "auto", fresh=True)
    slow.hold(LOOKUP)
    wires = ask(app, test)
    slow.wait_held(1)
    statuses = [app.get("/").status for _ in range(3)]
    slow.release()
    assert statuses == [200] * 3
    for wire in wires:
        assert wire.response().status == 200


def test_clients_that_leave_a_folder_that_does_not_answer(app, quick, slow):
    slow.hold(OPEN)
    wires = ask(app, 3)
    slow.wait_held(8)
    for wire in wires:
        wire.close()
    check_others(app, quick)
    slow.release()
    assert app.get("/slow/3-1").body == b"3-1"


@pytest.mark.parametrize("version", [1, 2])
def test_a_large_file_whose_reads_wait(app, quick, slow, version):
    name = f"/slow/large-{version}"
    assert app.request("HEAD", name).status == 200
    slow.hold(READ)
    with app.connect() as wire, H2Wire(app.address) as h2:
        if version == 1:
            wire.request("GET", name)
        else:
            number = h2.start("GET", name)
        slow.wait_held(1)
        assert h2.request("GET", "/").body == b"hello"
        check_others(app, quick)
        slow.release()
        assert (wire.response().body if version == 1 else h2.answer(number).body) == LARGE


APPLICATIONS = [(app, kind) for app in ("asgi", "rsgi") for kind in (LOOKUP, OPEN, READ)]


@pytest.mark.parametrize(("app", "kind"), APPLICATIONS, indirect=["app"])
def test_files_that_applications_send(app, quick, slow, kind):
    file = slow.path / f"large-{3 + APPLICATIONS.index((app.spec.interface[:4], kind))}"
    steps = {
        "asgi": ("await start()", f"await send({{'type': 'http.response.pathsend', 'path': {str(file)!r}}})"),
        "rsgi": (f"protocol.response_file(200, [], {str(file)!r})",),
    }[app.spec.interface[:4]]
    if kind != LOOKUP:
        # The kernel knows the name from now on, which does not say that the file opens at once.
        assert file.stat().st_size == len(LARGE)
    slow.hold(kind)
    with app.connect() as wire:
        wire.request("GET", "/script", script(*steps))
        slow.wait_held(1)
        assert app.get("/").body == b"hello"
        assert app.get("/quick/large.bin").body == LARGE
        slow.release()
        assert wire.response().body == LARGE


def refusals(app: Server) -> int:
    url = app.wait_line(r"Metrics at: (http://\S+)")[1]
    with urllib.request.urlopen(url, timeout=DEADLINE) as numbers:
        found = re.findall(r'^granian_static_requests_busy{worker="1"} (\d+)$', numbers.read().decode(), re.MULTILINE)
    return int(found[0])


@pytest.mark.parametrize("way", ["x-accel-redirect", "pathsend"])
def test_files_that_too_many_wait_for(server, quick, slow, way):
    """Eight threads wait for the slow disk and 512 requests behind them; the next ones are refused, others go on."""
    maps = ("--sendfile-map", f"/slow={slow.path}", "--sendfile-map", f"/quick={quick}")
    app = server(*TARGETS["asgi"], *maps, "--metrics", "--metrics-port", "0")

    def named(folder: Path, name: str) -> tuple[str, str]:
        send = f"await send({{'type': 'http.response.pathsend', 'path': {str(folder / name)!r}}})"
        field = [(b"x-accel-redirect", f"/{'slow' if folder == slow.path else 'quick'}/{name}".encode())]
        steps = script("await start()", send)
        if way != "pathsend":
            steps = script(f"await start(200, {field!r})", "await body(b'')")
        header, value = steps.split(": ", 1)
        return header, value

    before = refusals(app)
    with ExitStack() as stack:
        wires = [stack.enter_context(H2Wire(app.address)) for _ in range(5)]
        # The disk of the folder is known from now on.
        assert wires[0].request("GET", "/script", named(slow.path, "0-0")).body == b"0-0"
        assert wires[0].request("GET", "/script", named(quick, "0.txt")).body == b"quick 0"
        slow.hold(OPEN)
        asked = [(wire, wire.start("GET", "/script", named(slow.path, "0-1"))) for wire in wires for _ in range(120)]
        # The requests begin in several turns: all of them before one of the others ends.
        while refusals(app) - before < 80:
            pass
        assert app.get("/script", ": ".join(named(quick, "1.txt"))).body == b"quick 1"
        slow.release()
        answers = [wire.answer(number) for wire, number in asked]
        refused = [answer for answer in answers if answer.status == 503]
        assert 80 <= len(refused) <= 88
        assert all(answer.header("retry-after") for answer in refused)
        assert sum((answer.status, answer.body) == (200, b"0-1") for answer in answers) == 600 - len(refused)
    assert refusals(app) - before == len(refused)


def test_a_folder_that_vanishes_while_it_is_read(app, quick, slow):
    slow.hold(READ)
    with app.connect() as wire:
        wire.request("GET", "/slow/large-0")
        assert wire.head().header("content-length") == str(len(LARGE))
        slow.wait_held(1)
        slow.vanish()
        assert len(wire.rest()) < len(LARGE)
    check_others(app, quick)
    end = time.monotonic() + 10
    # Another test may have asked for it within the time that a file is kept for.
    while app.get("/slow/3-2").status != 404:
        assert time.monotonic() < end
