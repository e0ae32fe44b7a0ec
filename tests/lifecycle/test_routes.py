"""`--metrics-routes`: requests are counted by the routes that applications name, in every interface."""

from __future__ import annotations

import signal

import pytest
from e2e.h2wire import H2Wire

from .conftest import wait_count
from .test_metrics import METRICS, Scrape, fetch, get, openmetrics_parser, wait_for

ROUTES = (*METRICS, "--metrics-routes")


def counted(scrape: Scrape) -> dict[tuple[str, str], float]:
    """Answers by route and status."""
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in scrape.samples
        if sample.name == "granian_route_requests_total" and sample.value
    }


def test_fastapi(serve):
    pytest.importorskip("fastapi")
    source = """
        from fastapi import APIRouter, FastAPI, HTTPException
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Mount, Route

        app = FastAPI()

        @app.get("/items/{number}")
        async def item(number: int):
            if number > 9:
                raise HTTPException(404)
            return number

        @app.get("/broken")
        def broken():
            raise RuntimeError("on purpose")

        async def page(request):
            return PlainTextResponse("page")

        app.mount("/shop", Starlette(routes=[Mount("/old", routes=[Route("/pages/{name}", page)])]))
        app.mount("/of/{tenant}", Starlette(routes=[Route("/pages/{name}", page)]))
        router = APIRouter()

        @router.get("/things/{number}")
        async def thing(number: int):
            return number

        app.include_router(router, prefix="/v1")
        app.include_router(router, prefix="/v2")
    """
    service = serve(source, *ROUTES, "--workers", "2")
    for path in ("/items/1", "/items/2", "/items/10", "/items/x", "/broken", "/nothing", "/shop/old/pages/a"):
        get(service, path)
    for path in ("/of/them/pages/a", "/v1/things/1", "/v2/things/1"):
        get(service, path)
    with H2Wire(service.address) as wire:
        assert wire.request("GET", "/items/3").body == b"3"
    scrape = wait_for(service, 11, "requests_total")
    assert counted(scrape) == {
        ("/items/{number}", "2xx"): 3,
        ("/items/{number}", "4xx"): 2,
        ("/broken", "5xx"): 1,
        ("/shop/old/pages/{name}", "2xx"): 1,
        # The place of a mount with parameters is its clients' text.
        ("/pages/{name}", "2xx"): 1,
        ("/v1/things/{number}", "2xx"): 1,
        ("/v2/things/{number}", "2xx"): 1,
    }
    assert scrape.sum("route_request_duration_seconds_count", route="/items/{number}") == 5
    text = fetch(service, "/metrics", accept="application/openmetrics-text")[2]
    assert list(openmetrics_parser.text_string_to_metric_families(text))


def test_litestar(serve):
    pytest.importorskip("litestar")
    source = """
        from litestar import Litestar, get

        @get("/items/{number:int}")
        async def item(number: int) -> int:
            return number

        app = Litestar([item])
    """
    service = serve(source, *ROUTES)
    get(service, "/items/1")
    get(service, "/items/2")
    assert counted(wait_for(service, 2, "requests_total")) == {("/items/{number}", "2xx"): 2}


WSGI = """
    def app(environ, start_response):
        if environ["PATH_INFO"] != "/":
            environ["granian.route"] = environ["PATH_INFO"][:2]
        start_response("200 OK", [])
        return [b"hello"]
"""
RSGI = """
    class App:
        async def __rsgi__(self, scope, protocol):
            assert scope.route is None
            if scope.path != "/":
                scope.route = scope.path[:2]
                assert scope.route == scope.path[:2]
            protocol.response_str(200, [], "hello")

    app = App()
"""


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (WSGI, ("--interface", "wsgi", "--blocking-threads", "1")),
        (WSGI, ("--interface", "wsgi", "--blocking-threads", "3")),
        (RSGI, ("--interface", "rsgi")),
    ],
    ids=["wsgi", "wsgi-pool", "rsgi"],
)
def test_named_by_the_application(serve, source, options):
    service = serve(source, *ROUTES, *options)
    for path in ("/a1", "/a2", "/b", "/"):
        get(service, path)
    assert counted(wait_for(service, 4, "requests_total")) == {("/a", "2xx"): 2, ("/b", "2xx"): 1}


def test_names_are_bounded_and_outlive_workers(serve):
    source = """
        async def app(scope, receive, send):
            scope["route"] = scope["path"]
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})
    """
    service = serve(source, *ROUTES)
    for number in range(103):
        get(service, f"/{number}")
    found = counted(wait_for(service, 103, "requests_total"))
    assert len(found) == 101
    assert found[("other", "2xx")] == 3
    service.signal(signal.SIGHUP)
    wait_count(service, "Stopped old worker-1", 1)
    get(service, "/200")
    get(service, "/0")
    found = counted(wait_for(service, 105, "requests_total"))
    assert len(found) == 101
    assert (found[("other", "2xx")], found[("/0", "2xx")]) == (4, 2)


def test_off_by_default(serve):
    service = serve(RSGI, *METRICS, "--interface", "rsgi")
    assert get(service, "/a") == (200, "hello")
    assert "granian_route" not in fetch(service, "/metrics")[2]


def test_files_that_responses_name(serve, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"Hello, file!")
    source = f"""
        def app(environ, start_response):
            environ["granian.route"] = "/file"
            start_response("200 OK", [("x-sendfile", "{tmp_path}/a.txt")])
            return []
    """
    service = serve(source, *ROUTES, "--interface", "wsgi", "--sendfile-map", f"/protected={tmp_path}")
    assert get(service) == (200, "Hello, file!")
    assert counted(wait_for(service, 1, "requests_total")) == {("/file", "2xx"): 1}
