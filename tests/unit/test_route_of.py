"""The name of a route in a scope of Starlette's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from granian.interfaces.routes import route_of

routing = pytest.importorskip("starlette.routing")


async def endpoint(scope: Any, receive: Any, send: Any) -> None:
    """Any ASGI application."""


def named(routes: list[Any], path: str) -> str | None:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": [], "query_string": b""}
    seen = []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    def within(route: Any) -> Any:
        return routing.Mount(route.path, look) if isinstance(route, routing.Mount) else route

    async def nothing(*_: Any) -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(routing.Router([within(route) for route in routes])(scope, nothing, nothing))
    return route_of(seen[-1] if seen else scope)


def test_a_mounted_application_without_routes_is_named_by_its_place() -> None:
    assert named([routing.Mount("/raw", endpoint)], "/raw/a/b") == "/raw"


def test_no_text_of_a_client_is_in_a_name() -> None:
    assert named([routing.Mount("/{tenant}", endpoint)], "/evil/a") is None


def test_errors_are_no_names() -> None:
    assert route_of({"route": object(), "app_root_path": ""}) is None
