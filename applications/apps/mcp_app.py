"""An MCP server (streamable HTTP) with a tool that reports its progress."""

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("here")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@server.tool()
async def work(steps: int, ctx: Context) -> str:
    """Takes a few steps."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
    return f"{steps} steps"


app = server.streamable_http_app()
