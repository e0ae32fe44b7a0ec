"""`route_of`: the route that an application has named, for `--metrics-routes`. Called once for each response."""

from __future__ import annotations

from typing import Any


def route_of(scope: Any) -> str | None:
    """The name in an ASGI scope, a WSGI environ or an RSGI scope.

    ASGI: `scope["route"]`, which Starlette and FastAPI set: a text, or an object with a `path`, before which stand the
    places that it is mounted on; else `scope["path_template"]`, which Litestar sets. WSGI: `environ["granian.route"]`.
    RSGI: `scope.route`.
    """
    if not isinstance(scope, dict):
        return _text(scope.route)
    if (route := scope.get("route")) is None:
        return _text(scope.get("path_template") or scope.get("granian.route"))
    if isinstance(route, str):
        return route
    path = _path(scope, route)
    if path is None or "app_root_path" not in scope:
        return path
    return (_mounted(scope) + path) or None


def _path(scope: dict[str, Any], route: Any) -> str | None:
    """The path of a route of Starlette's kind, without the places that it is mounted on."""
    if not hasattr(route, "endpoint"):
        # A mount, which stands in the scope's root path already.
        return ""
    fastapi = scope.get("fastapi")
    included = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    # FastAPI's route does not have the prefix that its router was included by.
    if getattr(included, "original_route", None) is route:
        return _text(getattr(included, "path", None))
    return _text(getattr(route, "path", None))


def _mounted(scope: dict[str, Any]) -> str:
    """What mounts have put behind the root path that the server has given; nothing if a client's text is in it."""
    mounted = str(scope.get("root_path", "")).removeprefix(str(scope["app_root_path"]))
    parts = mounted.split("/")
    is_clients = any(str(value) in parts for value in (scope.get("path_params") or {}).values())
    return "" if is_clients else mounted


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
