"""An ASGI application with one path for each behaviour under test."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from support import Gates, note, perform, steps_of, work_until

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

ROUTES: dict[str, Handler] = {}
gates = Gates(asyncio.Event)
kept: list[Any] = []


def route(path: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        ROUTES[path] = handler
        return handler

    return register


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    name = scope["path"].rpartition("/")[2]
    if scope["path"].startswith("/open/"):
        gates[name].set()
        return await respond(send, b"open")
    await ROUTES.get(scope["path"], missing)(scope, receive, send)


async def respond(send: Send, body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, value: Any) -> None:
    await respond(send, json.dumps(value, default=plain).encode())


def plain(value: Any) -> Any:
    """JSON for what JSON has no word for; bytes are marked."""
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    raise TypeError(f"{type(value)} in a scope")


def query(scope: Scope) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}


async def body_of(receive: Receive) -> bytes:
    """The whole request body; ConnectionError if it does not come to its end."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the request was cut off")
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def missing(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"no such path", status=404)


@route("/")
async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"hello", (b"content-type", b"text/plain"))


@route("/headers")
async def set_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the headers given in the query, in order."""
    pairs = [tuple(pair.split(":", 1)) for pair in parse_qs(scope["query_string"].decode())["h"]]
    await respond(send, b"hello", *((name.encode(), value.encode()) for name, value in pairs))


@route("*")
@route("/scope")
async def dump_scope(scope: Scope, receive: Receive, send: Send) -> None:
    types = {name: type(value).__name__ for name, value in scope.items()}
    await respond_json(send, {"scope": scope, "types": types})


@route("/scope/spoil")
async def spoil_scope(scope: Scope, receive: Receive, send: Send) -> None:
    """Changes everything that could be shared with another request, in one way of several."""
    SPOILS[query(scope).get("how", "writes")](scope)
    scope["headers"].append((b"spoilt", b"1"))
    await respond(send, b"spoilt")


def _write(scope: Scope) -> None:
    for each in [scope["asgi"], scope["state"], *scope["extensions"].values(), scope["extensions"]]:
        each["spoilt"] = True


def _rename(scope: Scope) -> None:
    """Other keys, as many, with the same values."""
    for each in [scope["asgi"], scope["extensions"]]:
        each["spoilt"] = each.pop(next(iter(each)))


def _replace(scope: Scope) -> None:
    for each in [scope["asgi"], scope["extensions"]]:
        each[next(iter(each))] = {"spoilt": True}


def _reorder(scope: Scope) -> None:
    for each in [scope["asgi"], scope["extensions"]]:
        first = next(iter(each))
        each[first] = each.pop(first)


SPOILS = {"writes": _write, "renames": _rename, "replaces": _replace, "reorders": _reorder}


@route("/scope/apart")
async def apart(scope: Scope, receive: Receive, send: Send) -> None:
    """Whether no mutable object is that of a scope that was kept before, which this one is kept in place of."""
    own = [scope, *(scope[name] for name in ("asgi", "state", "extensions", "headers"))]
    own += scope["extensions"].values()
    shared = [one for one in own for other in _KEPT if one is other]
    _KEPT[:] = own
    await respond(send, b"shared" if shared else b"apart")


_KEPT: list[Any] = []


@route("/status")
async def status(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"body", status=int(query(scope)["code"]))


@route("/echo")
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, await body_of(receive))


@route("/echo/stream")
async def echo_stream(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        await send({**message, "type": "http.response.body"})
        if not message["more_body"]:
            return


@route("/messages")
async def dump_messages(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what `receive` gave up to the end of the body, and notes what it gives then."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    await respond_json(send, messages)
    note("after", [await receive(), await receive(), await receive()])


@route("/count")
async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits at a gate, then reads the body and answers with its size."""
    await gates[query(scope)["gate"]].wait()
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            return await respond(send, str(size).encode())


@route("/drain")
async def drain(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, whole or cut off, and has nothing to say about it."""
    with contextlib.suppress(ConnectionError):
        await respond(send, await body_of(receive))


@route("/upload")
async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and notes how that ended."""
    try:
        note("upload", len(await body_of(receive)))
    except ConnectionError as error:
        note("upload", str(error))
        raise
    await respond(send, b"stored")


@route("/stream")
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """`n` chunks of `size` bytes, with a content-length if `length` is given, of a `type` if that is."""
    options = query(scope)
    n, size = int(options.get("n", 10)), int(options.get("size", 1024))
    headers = [(b"content-length", str(n * size).encode())] if "length" in options else []
    if "type" in options:
        headers.append((b"content-type", options["type"].encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for index in range(n):
        chunk = bytes([ord("a") + index % 26]) * size
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        progress[options.get("name", "")] = index + 1
    await send({"type": "http.response.body"})


progress: dict[str, int] = {}


@route("/hints")
async def hints(scope: Scope, receive: Receive, send: Send) -> None:
    """`n` early hints of about a kilobyte, each another one, then the response."""
    options = query(scope)
    for index in range(int(options["n"])):
        link = b"</%d.css>; rel=preload; title=%s" % (index, b"x" * 1000)
        await send({"type": "http.response.early_hint", "links": [link]})
        progress[options["name"]] = index + 1
    note("hinted")
    await respond(send, b"hinted")


@route("/progress")
async def show_progress(scope: Scope, receive: Receive, send: Send) -> None:
    """How many chunks the stream of that name has sent."""
    await respond(send, str(progress.get(query(scope)["name"], 0)).encode())


@route("/head")
async def head_first(scope: Scope, receive: Receive, send: Send) -> None:
    """A head, then what comes behind the gate."""
    options = query(scope)
    kind = options.get("type", "text/plain").encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await gates[options["gate"]].wait()
    await send({"type": "http.response.body", "body": b"done"})


@route("/chunks")
async def gated_chunks(scope: Scope, receive: Receive, send: Send) -> None:
    """Three chunks, the last two each behind a gate."""
    gate = query(scope)["gate"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for index in range(3):
        if index:
            await gates[f"{gate}{index}"].wait()
        chunk = f"chunk {index}".encode()
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body"})


@route("/wait")
async def wait(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers behind a gate."""
    gate = query(scope)["gate"]
    note("waiting", gate)
    await gates[gate].wait()
    await respond(send, gate.encode())


@route("/work")
async def work(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers when there is a file of the path."""
    await work_until(query(scope)["path"])
    await respond(send, b"worked")


@route("/file")
async def send_file(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": query(scope)["path"]})


@route("/watch")
async def watch(scope: Scope, receive: Receive, send: Send) -> None:
    """Notes that the client left, as seen by `n` concurrent receivers, then sends into the void."""
    name, n = query(scope)["name"], int(query(scope).get("n", 1))
    await receive()
    note(f"{name}.started")
    messages = await asyncio.gather(*(receive() for _ in range(n)))
    note(name, [message["type"] for message in messages])
    await respond(send, b"late")
    note(f"{name}.finished", (await receive())["type"])


@route("/endless")
async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Streams `n` chunks after the client has left, and notes that nothing was raised."""
    name = query(scope)["name"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    for _ in range(1000):
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
    await send({"type": "http.response.body"})
    note(name, "sent")


@route("/tasks")
async def tasks(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, str(len(asyncio.all_tasks())).encode())


@route("/collect")
async def collect(scope: Scope, receive: Receive, send: Send) -> None:
    """Only what is held on to survives this."""
    gc.collect()
    await respond(send, b"collected")


@route("/script")
async def script(scope: Scope, receive: Receive, send: Send) -> None:
    """Performs the steps in the `x-script` header with these names at hand."""

    async def start(status: Any = 200, headers: Any = ()) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(data: Any = b"", more: bool = False) -> None:
        await send({"type": "http.response.body", "body": data, "more_body": more})

    names = {"__name__": "script", "scope": scope, "receive": receive, "send": send, "start": start, "body": body}
    names |= {"asyncio": asyncio, "note": note, "gates": gates, "kept": kept}
    await perform(steps_of(dict(scope["headers"])[b"x-script"]), names)
