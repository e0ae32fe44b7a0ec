"""An RSGI application: text, an echo, a stream and this file. Run it: granian examples/rsgi.py:app"""

import asyncio
from typing import Any

PLAIN = [("content-type", "text/plain; charset=utf-8")]


class Application:
    """RSGI is looked up on the object, so that hooks can stand beside it."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.greeting = "Hello from RSGI\n"

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.path == "/":
            protocol.response_str(200, PLAIN, self.greeting)
        elif scope.path == "/echo":
            protocol.response_bytes(200, PLAIN, await protocol())
        elif scope.path == "/source":
            protocol.response_file(200, PLAIN, __file__)
        elif scope.path == "/stream":
            transport = protocol.response_stream(200, PLAIN)
            for number in range(10):
                await transport.send_str(f"line {number}\n")
                await asyncio.sleep(0.5)
        else:
            protocol.response_empty(404, [])


app = Application()
