"""Fields around an RSGI response: early hints before it, trailers behind it, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server, script
from .wire import Response

LINK = "</a.css>; rel=preload"
STREAM = ("stream = protocol.response_stream(200, [])", "await stream.send_str('page')")


@pytest.fixture
def probe(server: ServerFactory) -> Server:
    return server("rsgi_probe:app", "rsgi")


def over_http1(probe: Server, *steps: str) -> Response:
    return probe.get("/script", script(*steps))


def over_http2(probe: Server, *steps: str) -> Response:
    name, _, value = script(*steps).partition(": ")
    with H2Wire(probe.address) as wire:
        answer = wire.request("GET", "/script", (name, value))
    informational = [Response("2", int(dict(head)[":status"]), "", head) for head in answer.informational]
    return Response(
        "2",
        answer.status,
        "",
        answer.headers,
        bytes(answer.body),
        trailers=answer.trailers,
        informational=informational,
    )


@pytest.mark.parametrize("request_over", [over_http1, over_http2])
def test_early_hints(probe: Server, request_over) -> None:
    mark = probe.mark()
    hints = (f"protocol.early_hints([{LINK!r}, '</b>'])", f"await protocol.early_hints(({LINK!r},))")
    wrong = ("protocol.early_hints('</a>')", "protocol.early_hints([b'</a>'])", "protocol.early_hints(['a\\n'])")
    last = ("protocol.response_str(200, [], 'page')", "protocol.early_hints([])")
    response = request_over(probe, *hints, *wrong, *last)
    assert [head.status for head in response.informational] == [103, 103]
    assert [head.all("link") for head in response.informational] == [[LINK, "</b>"], [LINK]]
    assert (response.status, response.body, response.all("link")) == (200, b"page", [])
    said = [outcome.partition(":")[0] for outcome in probe.note("script", mark)]
    assert said == ["ok", "ok", "TypeError", "TypeError", "ValueError", "ok", "ProtocolError"]


@pytest.mark.parametrize("request_over", [over_http1, over_http2])
def test_trailers(probe: Server, request_over) -> None:
    mark = probe.mark()
    sets = ("stream.add_trailers([('grpc-status', '0')])", "stream.add_trailers([('x-more', 'ä')])")
    wrong = ("stream.add_trailers([('content-length', '4')])", "stream.add_trailers([(b'a', b'b')])")
    response = request_over(probe, *STREAM, *sets, *wrong, "await stream.send_bytes(b' two')")
    assert response.body == b"page two"
    assert [name for name, _ in response.trailers] == ["grpc-status", "x-more"]
    assert response.trailers[0] == ("grpc-status", "0")
    said = [outcome.partition(":")[0] for outcome in probe.note("script", mark)]
    assert said == ["ok", "ok", "ok", "ok", "ValueError", "TypeError", "ok"]


@pytest.mark.parametrize("request_over", [over_http1, over_http2])
def test_no_trailers_behind_what_has_failed(probe: Server, request_over) -> None:
    if request_over is over_http2:
        name, _, value = script(*STREAM, "stream.add_trailers([('a', 'b')])", "!1/0").partition(": ")
        with H2Wire(probe.address) as wire:
            answer = wire.request("GET", "/script", (name, value))
        assert (answer.ended, answer.trailers) == (False, [])
    else:
        with probe.connect() as wire:
            wire.request("GET", "/script", script(*STREAM, "stream.add_trailers([('a', 'b')])", "!1/0"))
            assert b"a: b" not in wire.rest()
