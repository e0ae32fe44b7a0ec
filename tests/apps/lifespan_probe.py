"""An ASGI application whose lifespan goes the way that `PROBE_MODE` says."""

from __future__ import annotations

import os
from typing import Any

from support import note

MODE = os.environ["PROBE_MODE"]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    state = scope["state"]
    seen = repr({name: state[name] for name in sorted(state)})
    state["own"] = state.get("own", 0) + 1
    state.get("shared", []).append(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": seen.encode()})


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    note("scope", {**scope, "state": repr(scope["state"])})
    if MODE == "unsupported":
        raise NotImplementedError("no lifespan here")
    message = await receive()
    note("startup", message)
    scope["state"]["shared"] = []
    if MODE == "raise":
        raise ValueError("startup broke")
    if MODE == "return":
        return
    if MODE in ("failed", "failed silently"):
        text = {"message": "no database"} if MODE == "failed" else {}
        await send({"type": "lifespan.startup.failed", **text})
        return
    if MODE == "nonsense":
        await send({"type": "lifespan.nonsense"})
    await send({"type": "lifespan.startup.complete"})
    if MODE == "crash":
        raise ValueError("crashed while serving")
    message = await receive()
    note("shutdown", [message, len(scope["state"]["shared"])])
    if MODE == "shutdown raise":
        raise ValueError("shutdown broke")
    if MODE == "shutdown failed":
        await send({"type": "lifespan.shutdown.failed", "message": "could not flush"})
        return
    await send({"type": "lifespan.shutdown.complete"})
    note("end")
