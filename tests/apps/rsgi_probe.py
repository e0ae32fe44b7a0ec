"""An RSGI application with one path for each behaviour under test."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from support import Gates, note, perform, steps_of, work_until

Handler = Callable[[Any, Any], Awaitable[None]]

ROUTES: dict[str, Handler] = {}
gates = Gates(asyncio.Event)
kept: list[Any] = []
progress: dict[str, int] = {}
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def route(path: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        ROUTES[path] = handler
        return handler

    return register


class Application:
    """Has the hooks that a plain function has not."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        note("init", loop.is_running())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        note("del", [loop is self.loop, loop.is_running()])

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.path.startswith("/open/"):
            gates[scope.path.rpartition("/")[2]].set()
            protocol.response_empty(204, [])
            return
        await ROUTES.get(scope.path, missing)(scope, protocol)


app = Application()


async def plain_function(scope: Any, protocol: Any) -> None:
    await hello(scope, protocol)


def returns_awaitable(scope: Any, protocol: Any) -> Any:
    return hello(scope, protocol)


def query(scope: Any) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(scope.query_string).items()}


def respond_json(protocol: Any, value: Any) -> None:
    protocol.response_str(200, [("content-type", "application/json")], json.dumps(value))


async def missing(scope: Any, protocol: Any) -> None:
    protocol.response_str(404, [], "no such path")


@route("/")
async def hello(scope: Any, protocol: Any) -> None:
    protocol.response_str(200, [("content-type", "text/plain")], "hello")


@route("/scope")
async def dump_scope(scope: Any, protocol: Any) -> None:
    names = ("proto", "rsgi_version", "http_version", "server", "client", "scheme", "method")
    more = ("path", "query_string", "authority")
    respond_json(protocol, {name: getattr(scope, name) for name in names + more})


@route("/scope/write")
async def write_scope(scope: Any, protocol: Any) -> None:
    try:
        scope.path = "/other"
    except AttributeError:
        protocol.response_str(200, [], "read-only")


@route("/headers")
async def dump_headers(scope: Any, protocol: Any) -> None:
    """Everything that the headers object can be asked."""
    headers = scope.headers
    try:
        absent = headers["x-absent"]
    except KeyError as error:
        absent = repr(error)
    try:
        wrong = headers.get(b"x-two")
    except TypeError:
        wrong = "TypeError"
    respond_json(
        protocol,
        {
            "keys": headers.keys(),
            "values": headers.values(),
            "items": headers.items(),
            "iteration": list(headers),
            "len": len(headers),
            "get": [headers.get("X-Two"), headers.get("x-absent"), headers.get("x-absent", "no")],
            "get_all": [headers.get_all("x-TWO"), headers.get_all("x-absent")],
            "in": ["X-Two" in headers, "x-absent" in headers],
            "item": [headers["x-two"], absent],
            "bytes": wrong,
        },
    )


@route("/echo")
async def echo(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, [], await protocol())


@route("/iterate")
async def iterate(scope: Any, protocol: Any) -> None:
    pieces = [piece async for piece in protocol]
    types = sorted({type(piece).__name__ for piece in pieces})
    body = b"".join(pieces).decode()
    respond_json(protocol, {"body": body, "types": types, "last": pieces[-1].decode()})


@route("/count")
async def count(scope: Any, protocol: Any) -> None:
    """Waits at a gate, then reads the body and answers with its size."""
    await gates[query(scope)["gate"]].wait()
    size = 0
    async for piece in protocol:
        size += len(piece)
    protocol.response_str(200, [], str(size))


@route("/upload")
async def upload(scope: Any, protocol: Any) -> None:
    """Reads the body in the way asked for and notes how that ended."""
    size = 0
    try:
        if query(scope)["by"] == "call":
            size = len(await protocol())
        else:
            async for piece in protocol:
                size += len(piece)
    except Exception as error:
        note("upload", [size, type(error).__name__, str(error)])
        raise
    note("upload", [size])
    protocol.response_str(200, [], "stored")


@route("/stream")
async def stream(scope: Any, protocol: Any) -> None:
    """`n` chunks of `size` bytes, of a `type` if that is given."""
    options = query(scope)
    transport = protocol.response_stream(200, [("content-type", options["type"])] if "type" in options else [])
    for index in range(int(options.get("n", 10))):
        await transport.send_bytes(bytes([ord("a") + index % 26]) * int(options.get("size", 1024)))
        progress[options.get("name", "")] = index + 1


@route("/hints")
async def hints(scope: Any, protocol: Any) -> None:
    """`n` early hints of about a kilobyte, each another one, then the response."""
    options = query(scope)
    for index in range(int(options["n"])):
        await protocol.early_hints([f"</{index}.css>; rel=preload; title={'x' * 1000}"])
        progress[options["name"]] = index + 1
    note("hinted")
    protocol.response_str(200, [], "hinted")


@route("/progress")
async def show_progress(scope: Any, protocol: Any) -> None:
    protocol.response_str(200, [], str(progress.get(query(scope)["name"], 0)))


@route("/chunks")
async def gated_chunks(scope: Any, protocol: Any) -> None:
    """A head and three chunks, each behind a gate."""
    transport = protocol.response_stream(200, [("content-type", "text/plain")])
    for index in range(3):
        await gates[f"{query(scope)['gate']}{index}"].wait()
        await transport.send_str(f"chunk {index}")


@route("/wait")
async def wait(scope: Any, protocol: Any) -> None:
    gate = query(scope)["gate"]
    note("waiting", gate)
    await gates[gate].wait()
    protocol.response_str(200, [], gate)


@route("/work")
async def work(scope: Any, protocol: Any) -> None:
    """Answers when there is a file of the path."""
    await work_until(query(scope)["path"])
    protocol.response_str(200, [], "worked")


@route("/watch")
async def watch(scope: Any, protocol: Any) -> None:
    """Notes that the client left, as seen by `n` concurrent watchers and by one that comes late."""
    name, n = query(scope)["name"], int(query(scope).get("n", 1))
    note(f"{name}.started")
    note(name, await asyncio.gather(*(protocol.client_disconnect() for _ in range(n))))
    await protocol.client_disconnect()
    protocol.response_str(200, [], "late")
    note(f"{name}.finished")


@route("/endless")
async def endless(scope: Any, protocol: Any) -> None:
    """Streams until the client is gone and notes what tells it."""
    transport = protocol.response_stream(200, [])
    try:
        while True:
            await transport.send_bytes(b"x" * 65536)
    except Exception as error:
        note(query(scope)["name"], [type(error).__name__, str(error)])


@route("/tasks")
async def tasks(scope: Any, protocol: Any) -> None:
    protocol.response_str(200, [], str(len(asyncio.all_tasks())))


@route("/context")
async def context(scope: Any, protocol: Any) -> None:
    """What one request sets, no other sees, before or after it has waited."""
    before = variable.get()
    variable.set(scope.query_string)
    await protocol()
    await asyncio.sleep(0.01)
    inside = await asyncio.create_task(read_variable())
    protocol.response_str(200, [], f"{before} {variable.get()} {inside}")


async def read_variable() -> str:
    return variable.get()


@route("/collect")
async def collect(scope: Any, protocol: Any) -> None:
    """Only what is held on to survives this."""
    gc.collect()
    protocol.response_str(200, [], "collected")


@route("/script")
async def script(scope: Any, protocol: Any) -> None:
    """Performs the steps in the `x-script` header with these names at hand."""
    names = {"__name__": "script", "scope": scope, "protocol": protocol, "asyncio": asyncio, "note": note}
    names |= {"gates": gates, "kept": kept}
    await perform(steps_of(scope.headers["x-script"]), names)
