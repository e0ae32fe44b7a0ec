"""Responses that end with their head (HEAD, 204, 205, 304) are complete with it, whatever the application sends."""

from __future__ import annotations

import pytest

from .h2wire import H2Wire
from .server import Server, script

CASES = [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)]


def steps_of(*steps: str) -> tuple[str, str]:
    name, value = script(*steps).split(": ", 1)
    return name, value


def ask(server: Server, protocol: str, method: str, status: int, *steps: str) -> None:
    """The response to these steps is whole, and the connection takes another request."""
    if protocol == "h1":
        with server.connect() as wire:
            response = wire.request(method, "/script", script(*steps)).response("HEAD")
            assert response.status == status
            assert wire.request("GET", "/").response().body == b"hello"
        return
    with H2Wire(server.address) as wire:
        answer = wire.request(method, "/script", steps_of(*steps))
        assert (answer.status, answer.body, answer.ended) == (status, b"", True)
        assert wire.request("GET", "/").body == b"hello"


@pytest.fixture(params=["h1", "h2"])
def protocol(request) -> str:
    return request.param


@pytest.mark.parametrize(("method", "status"), CASES)
def test_asgi(server, loop, protocol, method, status):
    """The application waits for a disconnect in the middle of its stream, and sees it."""
    app = server("asgi_probe:app", "asginl", loop=loop)
    mark = app.mark()
    waits = "while (await receive())['type'] == 'http.request': pass"
    ask(app, protocol, method, status, f"await start({status})", "await body(b'x', True)", waits, "await body(b'y')")
    assert app.note("script", mark) == ["ok"] * 4


def test_asgi_stream_without_a_pause(server, loop, protocol):
    """A loop that only sends does not hold up the event loop."""
    app = server("asgi_probe:app", "asginl", loop=loop)
    mark = app.mark()
    ask(app, protocol, "HEAD", 200, "await start()", "while not kept: await body(b'x' * 1000, True)", "kept.clear()")
    assert app.get("/script", script("kept.append(1)", "await start()", "await body()")).status == 200
    outcomes = [app.note("script", mark), app.note("script", app.lines().index(app.lines(mark)[0]) + 1)]
    assert ["ok"] * 3 in outcomes


@pytest.mark.parametrize(("method", "status"), CASES)
def test_rsgi(server, loop, protocol, method, status):
    """Sends raise, `client_disconnect` ends; the exception is nobody's fault."""
    app = server("rsgi_probe:app", "rsgi", loop=loop)
    mark = app.mark()
    stream = f"t = protocol.response_stream({status}, [])"
    sends = "while True: await t.send_bytes(b'x' * 1000)"
    ask(app, protocol, method, status, stream, sends, "await protocol.client_disconnect()", f"!{sends}")
    outcomes = app.note("script", mark)
    assert [outcome.split(":")[0] for outcome in outcomes] == ["ok", "ProtocolClosed", "ok", "ProtocolClosed"]
    app.mark()
    assert "raised an exception" not in app.log(mark)


@pytest.mark.parametrize(("method", "status"), CASES)
@pytest.mark.parametrize("threads", ["1", "8"])
def test_wsgi(server, protocol, threads, method, status):
    app = server("wsgi_probe:app", "wsgi", "--blocking-threads", threads)
    steps = [f"start_response('{status} X', [])", "result = iter(lambda: b'x' * 1000, b'')"]
    ask(app, protocol, method, status, *steps)


@pytest.mark.parametrize("interface", ["asginl", "rsgi"])
def test_a_body_behind_the_head_is_still_read(server, protocol, interface):
    """The exchange ends when the request is whole, not before."""
    app = server({"asginl": "asgi_probe:app", "rsgi": "rsgi_probe:app"}[interface], interface)
    mark = app.mark()
    if interface == "asginl":
        reads = "while (m := await receive()).get('more_body'): n = globals().get('n', 0) + len(m['body'])"
        steps = ["await start(204)", "await body(b'', True)", reads, "note('read', n + len(m['body']))"]
    else:
        reads = "note('read', len(await protocol()))"
        steps = ["t = protocol.response_stream(204, [])", reads]
    if protocol == "h1":
        with app.connect() as wire:
            wire.send(f"POST /script HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n{script(*steps)}\r\n\r\nhalf".encode())
            assert wire.response("HEAD").status == 204
            wire.send(b"half")
            assert app.note("read", mark) == 8
            assert wire.request("GET", "/").response().body == b"hello"
        return
    with H2Wire(app.address) as wire:
        number = wire.start("POST", "/script", steps_of(*steps), end=False)
        wire.data(number, b"half")
        assert wire.answer(number).status == 204
        wire.data(number, b"half", end=True)
        assert app.note("read", mark) == 8
        assert wire.request("GET", "/").body == b"hello"
