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
    path = _text(getattr(route, "path", None))
    if path is None or "app_root_path" not in scope:
        return path
    # What mounts have put behind the root path that the server has given.
    return str(scope["root_path"]).removeprefix(scope["app_root_path"]) + path


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
