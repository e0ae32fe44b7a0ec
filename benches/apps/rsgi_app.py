"""The RSGI applications the two RSGI servers are measured with, one callable per workload."""

import os
from typing import Any

PLAIN = [("content-type", "text/plain")]
TEN_KIB = b"x" * 10240
FILE = os.environ.get("BENCH_FILE", "")
CHUNK = b"x" * 1024


async def hello(scope: Any, protocol: Any) -> None:
    protocol.response_str(200, PLAIN, "Hello, world!")


async def body_10k(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, PLAIN, TEN_KIB)


async def file_10k(scope: Any, protocol: Any) -> None:
    protocol.response_file(200, PLAIN, FILE)


async def echo(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, PLAIN, await protocol())


async def stream(scope: Any, protocol: Any) -> None:
    transport = protocol.response_stream(200, PLAIN)
    for _ in range(10):
        await transport.send_bytes(CHUNK)


async def websocket(scope: Any, protocol: Any) -> None:
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:
        await transport.send_str(message.data)
