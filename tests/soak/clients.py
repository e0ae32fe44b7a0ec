"""The load of a soak: one process of asyncio clients of every kind, which checks every byte that it gets."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from .service import PIECE

# Seconds for any exchange, including a drain of the server.
PATIENCE = 60.0


class Broken(Exception):
    """An exchange that did not come to its proper end; `answered` if any byte of a response has come."""

    def __init__(self, text: str, answered: bool = False) -> None:
        super().__init__(text)
        self.answered = answered


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opened: float) -> None:
        self.reader, self.writer, self.opened = reader, writer, opened
        self.port = writer.get_extra_info("sockname")[1]
        self.uses = 0
        # The server has said that it closes.
        self.is_over = False

    async def exchange(self, head: str, pieces: list[bytes] | None = None, pause: float = 0.0) -> bytes:
        """Sends a request, its pieces `pause` seconds apart, and reads the body of the answer."""
        try:
            for piece in [f"{head}\r\nhost: soak\r\n\r\n".encode(), *(pieces or ())]:
                self.writer.write(piece)
                await self.writer.drain()
                if pause:
                    await asyncio.sleep(pause)
        except OSError as error:
            raise Broken(f"send: {error!r}") from error
        body = await self._read()
        self.uses += 1
        return body

    async def _read(self) -> bytes:
        answered = False
        try:
            first = await self.reader.readexactly(1)
            answered = True
            head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            status, *lines = head.split("\r\n")
            if status.split()[1] != "200":
                raise Broken(status, answered)
            headers = dict(line.split(": ", 1) for line in lines if line)
            self.is_over = headers.get("connection") == "close"
            if "content-length" in headers:
                return await self.reader.readexactly(int(headers["content-length"]))
            return b"".join([piece async for piece in self._chunks()])
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Broken(f"receive: {error!r}"[:200], answered) from error

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)


class Clients:
    """All clients of this process, and what became of their requests."""

    def __init__(self, host: str, port: int, seed: int) -> None:
        self.address = host, port
        self.random = random.Random(seed)
        self.until = asyncio.Event()
        self.done: Counter[str] = Counter()
        # Requests on a connection that the server had just closed, sent again as RFC 9110, 9.2.2 allows.
        self.repeated: Counter[str] = Counter()
        self.failures: list[dict[str, Any]] = []

    async def run(self, scale: int) -> None:
        kinds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (4, self.keep_alive),
            (3, self.one_shot),
            (2, self.upload),
            (2, self.stream),
            (2, self.events),
            (3, self.websocket),
            (1, self.slow_sender),
            (1, self.slow_reader),
            (2, self.moment),
        ]
        async with asyncio.TaskGroup() as group:
            for count, kind in kinds:
                for _ in range(count * scale):
                    group.create_task(self._repeat(kind))

    async def _repeat(self, kind: Callable[[], Awaitable[None]]) -> None:
        while not self.until.is_set():
            await kind()
            await asyncio.sleep(self.random.uniform(0.0, 0.05))

    def _fail(self, kind: str, what: str, port: int, opened: float) -> None:
        self.failures.append({"kind": kind, "what": what, "port": port, "opened": opened, "failed": time.monotonic()})

    @asynccontextmanager
    async def connect(self, kind: str, **options: Any) -> AsyncIterator[Connection]:
        """A connection; what breaks on it is noted."""
        opened = time.monotonic()
        port, writer = 0, None
        try:
            reader, writer = await asyncio.open_connection(*self.address, **options)
            connection = Connection(reader, writer, opened)
            port = connection.port
            async with asyncio.timeout(PATIENCE):
                yield connection
        except (Broken, OSError, TimeoutError, ValueError) as error:
            # Time to notice: the failure is later than its cause.
            self._fail(kind, repr(error), port, opened)
        finally:
            if writer is not None:
                writer.transport.abort()

    async def keep_alive(self) -> None:
        """Some requests on one connection, with pauses in which the server may close it."""
        async with self.connect("keep-alive") as connection:
            for _ in range(self.random.randint(2, 30)):
                try:
                    body = await connection.exchange("GET / HTTP/1.1")
                except Broken as error:
                    if connection.uses and not error.answered:
                        self.repeated["keep-alive"] += 1
                        return
                    raise
                self._check("keep-alive", body == b"hello")
                if connection.is_over:
                    return
                await asyncio.sleep(self.random.uniform(0.0, 0.2))

    async def one_shot(self) -> None:
        async with self.connect("new connection") as connection:
            body = await connection.exchange("GET / HTTP/1.1\r\nconnection: close")
            self._check("new connection", body == b"hello")

    async def moment(self) -> None:
        async with self.connect("wait") as connection:
            self._check("wait", await connection.exchange("GET /moment HTTP/1.1") == b"moment")

    async def upload(self) -> None:
        async with self.connect("upload") as connection:
            data = self.random.randbytes(self.random.randint(1, 400_000))
            if self.random.random() < 0.5:
                head, pieces = f"content-length: {len(data)}", [data]
            else:
                parts = [data[at : at + 30_000] for at in range(0, len(data), 30_000)]
                head = "transfer-encoding: chunked"
                pieces = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]
            body = await connection.exchange(f"POST /upload HTTP/1.1\r\n{head}", pieces, self.random.choice([0, 0.05]))
            self._check("upload", body == str(zlib.crc32(data)).encode())

    async def stream(self) -> None:
        count = self.random.randint(1, 200)
        async with self.connect("stream") as connection:
            self._check("stream", await connection.exchange(f"GET /stream?{count} HTTP/1.1") == PIECE * count)

    async def events(self) -> None:
        count = self.random.randint(5, 40)
        async with self.connect("events") as connection:
            self._check("events", await connection.exchange(f"GET /events?{count} HTTP/1.1") == PIECE * count)

    async def slow_sender(self) -> None:
        data = self.random.randbytes(2000)
        async with self.connect("slow sender") as connection:
            pieces = [data[at : at + 100] for at in range(0, len(data), 100)]
            body = await connection.exchange("POST /upload HTTP/1.1\r\ncontent-length: 2000", pieces, 0.2)
            self._check("slow sender", body == str(zlib.crc32(data)).encode())

    async def slow_reader(self) -> None:
        """Takes 2 MiB through a small buffer, a little at a time."""
        async with self.connect("slow reader", limit=32_768) as connection:
            connection.writer.write(b"GET /stream?512 HTTP/1.1\r\nhost: soak\r\n\r\n")
            try:
                head = await connection.reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    raise Broken(repr(head[:40]), True)
                size = 0
                async for piece in connection._chunks():
                    size += len(piece)
                    await asyncio.sleep(0.01)
            except asyncio.IncompleteReadError as error:
                raise Broken(repr(error)[:200]) from error
            self._check("slow reader", size == 512 * len(PIECE))

    async def websocket(self) -> None:
        """Messages back and forth; 1012 and 1001 are how a worker says goodbye that is replaced, or told to go."""
        opened, port = time.monotonic(), 0
        try:
            async with asyncio.timeout(PATIENCE):
                wire = socket.create_connection(self.address)
                port = wire.getsockname()[1]
                async with websockets.connect("ws://soak/", sock=wire, proxy=None) as peer:
                    for number in range(self.random.randint(1, 60)):
                        await peer.send(str(number))
                        self._check("websocket", await peer.recv() == str(number))
                        await asyncio.sleep(self.random.uniform(0.0, 0.3))
        except ConnectionClosed as error:
            if error.rcvd is not None and error.rcvd.code in (1001, 1012):
                self.done[f"websocket, closed with {error.rcvd.code}"] += 1
            else:
                self._fail("websocket", repr(error), port, opened)
        except (OSError, TimeoutError, ValueError, InvalidHandshake, InvalidMessage) as error:
            self._fail("websocket", repr(error), port, opened)

    def _check(self, kind: str, is_right: bool) -> None:
        if is_right:
            self.done[kind] += 1
        else:
            raise ValueError("the answer is wrong")


async def main() -> None:
    host, port, seed, scale = sys.argv[1], *map(int, sys.argv[2:5])
    clients = Clients(host, port, seed)
    loop = asyncio.get_running_loop()
    # The end of the standard input ends the load.
    loop.add_reader(0, lambda: (clients.until.set(), loop.remove_reader(0)))
    await clients.run(scale)
    json.dump({"done": clients.done, "repeated": clients.repeated, "failures": clients.failures}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
