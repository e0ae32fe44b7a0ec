"""An MCP server: its SDK's own client."""

from __future__ import annotations

import asyncio

from mcp import Client

from ..scene import Scene, Visit


def visit(visit: Visit) -> str:
    """Lists and calls tools."""
    return asyncio.run(_visit(visit))


async def _visit(visit: Visit) -> str:
    steps: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    async with Client(f"{visit.url}/mcp") as client:
        names = sorted(tool.name for tool in (await client.list_tools()).tools)
        assert names == ["add", "work"], names
        added = await client.call_tool("add", {"a": 2, "b": 3})
        assert added.structured_content == {"result": 5}, added
        await client.call_tool("work", {"steps": 5}, progress_callback=note)
    assert steps == [1, 2, 3, 4, 5], steps
    return "2 tools listed and called, 5 notes of progress"


SCENE = Scene(name="MCP server", package="mcp", target="mcp_app:app", done="mcp.Client: tools, progress", visit=visit)
