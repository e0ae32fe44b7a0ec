"""A page whose script fetches, uploads and streams and reports what it saw, and what it asks for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from support import note

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGE = b"""<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css?ATTEMPT"><script>
const bytes = new Uint8Array(1 << 20).map((_, index) => index * 7);
async function main() {
  const seen = {version: performance.getEntriesByType("navigation")[0].nextHopProtocol};
  const style = performance.getEntriesByType("resource").find(entry => entry.name.includes("/style.css"));
  seen.style = style.initiatorType;
  // The browser is free to take no hint, and now and then does so when it has just started.
  if (seen.version === "h2" && seen.style !== "early-hints" && Number(location.search.slice(1)) < 5) {
    return location.assign(`/?${Number(location.search.slice(1)) + 1}`);
  }
  seen.json = await (await fetch("/json?a=b")).json();
  const back = new Uint8Array(await (await fetch("/echo", {method: "POST", body: bytes})).arrayBuffer());
  seen.upload = back.length === bytes.length && back.every((byte, index) => byte === bytes[index]);
  const pieces = (await fetch("/stream")).body.pipeThrough(new TextDecoderStream()).getReader();
  seen.stream = [(await pieces.read()).value];
  await fetch("/next");
  seen.stream.push((await pieces.read()).value, (await pieces.read()).done);
  seen.cut = await fetch("/cut").then(response => response.text()).then(() => "whole", () => "cut");
  seen.missing = (await fetch("/missing")).status;
  return fetch("/report", {method: "POST", body: JSON.stringify(seen)});
}
main().catch(error => fetch("/report", {method: "POST", body: JSON.stringify(String(error))}));
</script>"""

gate = asyncio.Event()
styled = asyncio.Event()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    body += message["body"]
    match scope["path"]:
        case "/":
            if "http.response.early_hint" in scope["extensions"]:
                links = [b"</style.css?%s>; rel=preload; as=style" % scope["query_string"]]
                await send({"type": "http.response.early_hint", "links": links})
            if scope["http_version"] == "2":
                # The page itself tells the browser as well.
                styled.clear()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(styled.wait(), 1)
            await answer(send, b"text/html", PAGE.replace(b"ATTEMPT", scope["query_string"]))
        case "/style.css":
            styled.set()
            await answer(send, b"text/css", b"body { color: green }")
        case "/json":
            seen = {
                "scheme": scope["scheme"],
                "version": scope["http_version"],
                "query": scope["query_string"].decode(),
            }
            await answer(send, b"application/json", json.dumps(seen).encode())
        case "/echo":
            await answer(send, b"application/octet-stream", body)
        case "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await gate.wait()
            await send({"type": "http.response.body", "body": b"second"})
        case "/next":
            gate.set()
            await answer(send, b"text/plain", b"")
        case "/cut":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("the rest is missing")
        case "/report":
            note("report", json.loads(body))
            await answer(send, b"text/plain", b"")
        case _:
            await answer(send, b"text/plain", b"", 404)


async def answer(send: Send, content_type: bytes, body: bytes, status: int = 200) -> None:
    headers = [(b"content-type", content_type)]
    if content_type == b"text/css":
        headers.append((b"cache-control", b"max-age=60"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
