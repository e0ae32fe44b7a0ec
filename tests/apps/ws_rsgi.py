"""An RSGI application for websockets: an echo, and scripts."""

from __future__ import annotations

import asyncio
from typing import Any

from support import Stepped, note, perform, step_until_a_pass, steps_of, work_until


async def app(scope: Any, protocol: Any) -> None:
    assert scope.proto == "ws", scope.proto
    if "x-script" in scope.headers:
        names = {"protocol": protocol, "scope": scope, "note": note, "asyncio": asyncio, "tell": tell}
        names |= {"Stepped": Stepped, "step_until_a_pass": step_until_a_pass, "work_until": work_until}
        return await perform(steps_of(scope.headers["x-script"]), names)
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:
        if message.kind == 1:
            await transport.send_bytes(message.data)
        else:
            await transport.send_str(message.data)
    note("echo.end", [message.kind, message.data, message.code, message.reason])


async def tell(name: str, transport: Any) -> None:
    message = await transport.receive()
    note(name, [message.kind, str(message.data), message.code, message.reason])
