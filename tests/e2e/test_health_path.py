"""`--health-path`: answered by the server itself, on every protocol and interface."""

from __future__ import annotations

import pytest

from .h2wire import H2Wire
from .server import Server
from .test_access_log import LOG, TARGETS, check


@pytest.mark.parametrize("interface", TARGETS)
def test_it_is_answered_without_the_application(server, interface):
    probe: Server = server(*TARGETS[interface], *LOG, "--health-path", "/up")
    mark = probe.mark()
    with probe.connect() as wire:
        found = wire.request("GET", "/up?verbose").response("GET")
        assert (found.status, found.body) == (200, b"ok\n")
        assert (found.header("content-type"), found.header("cache-control")) == (
            "text/plain; charset=utf-8",
            "no-store",
        )
        assert wire.request("HEAD", "/up").response("HEAD").status == 200
        refused = wire.request("POST", "/up", body=b"hello").response("POST")
        assert (refused.status, refused.header("allow")) == (405, "GET, HEAD")
        # The connection goes on, and other paths are the application's.
        assert wire.request("GET", "/none").response("GET").status == 404
    with H2Wire(probe.address) as wire:
        assert wire.request("GET", "/up").body == b"ok\n"
    check(
        probe,
        mark,
        "http HTTP/1.1 GET /up verbose 200 3",
        "http HTTP/1.1 HEAD /up  200 0",
        "http HTTP/1.1 POST /up  405 34",
        "http HTTP/1.1 GET /none  404 12",
        "http HTTP/2 GET /up  200 3",
    )


def test_without_the_option_the_path_is_the_applications(server):
    assert server(*TARGETS["asgi"], *LOG).get("/up").status == 404
