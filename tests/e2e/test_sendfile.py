"""`--sendfile-map`: files that applications name in `x-sendfile` and `x-accel-redirect`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .h2wire import H2Wire
from .server import TARGETS, Server, script

LARGE = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def vault(tmp_path_factory) -> Path:
    vault = tmp_path_factory.mktemp("vault")
    (vault / "a b.txt").write_bytes(b"Hello, file!")
    (vault / "large.bin").write_bytes(LARGE)
    (vault / "sub").mkdir()
    (vault / "out").symlink_to("/etc/passwd")
    return vault


def naming(interface: str, field: str, value: str, *more: tuple[str, str], body: str = "b'instead'") -> str:
    """The steps of an application that names a file, and has a body of its own."""
    pairs = [(field, value), *more]
    if interface == "asgi":
        raw = [(name.encode(), value.encode()) for name, value in pairs]
        return script(f"await start(200, {raw!r})", f"await body({body}, True)", "await body(b'more')")
    if interface == "rsgi":
        return script(f"protocol.response_bytes(200, {pairs!r}, {body})")
    return script(f"write = start_response('200 OK', {pairs!r})", f"write({body})")


def start(server, interface: str, vault: Path, *options: str) -> Server:
    log = ("--access-log", "--access-log-fmt", "@access %(status)d %(body_bytes)d")
    return server(*TARGETS[interface], "--sendfile-map", f"/protected={vault}", *log, *options)


@pytest.mark.parametrize("interface", TARGETS)
def test_files_that_are_named(server, vault, interface):
    app = start(server, interface, vault)
    kind = interface.partition("-")[0]
    for field, value in [
        ("X-Accel-Redirect", "/protected/a%20b.txt?x=1"),
        ("X-Sendfile", f"{vault}/a b.txt"),
    ]:
        steps = naming(kind, field, value, ("set-cookie", "a=b"), ("content-type", "x/y"))
        mark = app.mark()
        answer = app.get("/script", steps)
        assert (answer.status, answer.body) == (200, b"Hello, file!")
        assert (answer.header("set-cookie"), answer.header("content-type")) == ("a=b", "x/y")
        assert answer.header("content-length") == "12"
        assert answer.header(field) is None
        app.wait_line("^@access 200 12$", mark)
        with app.connect() as wire:
            head = wire.request("HEAD", "/script", steps).response("HEAD")
            assert head.header("content-length") == "12"
    steps = naming(kind, "x-accel-redirect", "/protected/large.bin")
    mark = app.mark()
    answer = app.get("/script", steps)
    assert (answer.body, answer.header("content-type")) == (LARGE, "application/octet-stream")
    app.wait_line(f"^@access 200 {len(LARGE)}$", mark)
    part = app.get("/script", steps, "Range: bytes=1000-")
    assert (part.status, part.body) == (206, LARGE[1000:])
    assert app.get("/script", steps, f"If-None-Match: {answer.header('etag')}").status == 304
    with H2Wire(app.address) as wire2:
        name, value = steps.split(": ", 1)
        assert bytes(wire2.request("GET", "/script", (name, value)).body) == LARGE


def test_validators_of_the_application(server, vault):
    app = start(server, "asgi", vault)
    steps = naming("asgi", "x-accel-redirect", "/protected/large.bin", ("etag", '"mine"'), ("cache-control", "private"))
    answer = app.get("/script", steps)
    assert (answer.header("etag"), answer.header("cache-control")) == ('"mine"', "private")
    assert app.get("/script", steps, 'If-None-Match: "mine"').status == 304
    assert app.get("/script", steps, "Range: bytes=0-4", 'If-Range: "mine"').body == LARGE[:5]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("x-sendfile", "/etc/passwd"),
        ("x-sendfile", "{vault}/../x"),
        ("x-sendfile", "{vault}/out"),
        ("x-sendfile", "{vault}/nothing"),
        ("x-sendfile", "a b.txt"),
        ("x-accel-redirect", "/other/a"),
        ("x-accel-redirect", "/protected/../etc/passwd"),
        ("x-accel-redirect", "/protected/%2e%2e/x"),
        ("x-accel-redirect", "/protected/out"),
        ("x-accel-redirect", "/protected/sub"),
        ("x-accel-redirect", ""),
    ],
)
def test_what_is_not_sent(server, vault, field, value):
    app = start(server, "asgi", vault)
    mark = app.mark()
    answer = app.get("/script", naming("asgi", field, value.replace("{vault}", str(vault))))
    assert (answer.status, answer.body) == (404, b"Not found")
    app.wait_line(rf"\[WARNING\] No file to send for {field}: ", mark)
    app.wait_line("^@access 404 9$", mark)


def test_other_answers_are_the_applications(server, vault):
    app = start(server, "asgi", vault, "--compress")
    assert app.get("/").body == b"hello"
    redirect = script("await start(302, [(b'x-sendfile', b'/x')])", "await body(b'there')")
    answer = app.get("/script", redirect)
    assert (answer.status, answer.body) == (302, b"there")
    assert app.get("/stream?n=20&size=10000&length").body[-1:] == b"t"


def test_off_by_default(server, vault):
    app = server(*TARGETS["asgi"])
    answer = app.get("/script", naming("asgi", "x-sendfile", f"{vault}/a b.txt"))
    assert (answer.body, answer.header("x-sendfile")) == (b"insteadmore", f"{vault}/a b.txt")


def test_an_application_that_fails_after_it_has_named_a_file(server, vault):
    app = start(server, "asgi", vault)
    steps = script("await start(200, [(b'x-accel-redirect', b'/protected/large.bin')])", "!1 / 0")
    assert app.get("/script", steps).body == LARGE
