"""A page whose script opens websockets and reports what it saw, and the websockets."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from support import note

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGE = b"""<!doctype html><link rel="icon" href="data:,"><script>
const url = path => location.origin.replace("http", "ws") + path;
const opened = (path, protocols) => new Promise((resolve, reject) => {
  const websocket = new WebSocket(url(path), protocols);
  websocket.binaryType = "arraybuffer";
  websocket.closed = new Promise(closed => {
    websocket.onclose = event => closed([event.code, event.reason, event.wasClean]);
  });
  websocket.onopen = () => resolve(websocket);
  websocket.onerror = () => reject(new Error(path));
});
const echoed = (websocket, message) => new Promise(resolve => {
  websocket.onmessage = event => resolve(event.data);
  websocket.send(message);
});
async function main() {
  const websocket = await opened("/echo", ["chat", "other"]);
  const text = "\\u03ba\\u03cc\\u03c3\\u03bc\\u03b5 ".repeat(20000);
  const seen = {protocol: websocket.protocol, extensions: websocket.extensions};
  seen.text = await echoed(websocket, text) === text;
  if (!sessionStorage.refreshed) {
    sessionStorage.refreshed = "yes";
    return location.reload();
  }
  const bytes = new Uint8Array(300000).map((_, index) => index * 7);
  const back = new Uint8Array(await echoed(websocket, bytes));
  seen.bytes = back.length === bytes.length && back.every((byte, index) => byte === bytes[index]);
  websocket.close(3001, "bye");
  seen.own = await websocket.closed;
  seen.theirs = await (await opened("/close")).closed;
  seen.refused = await opened("/refuse").then(() => "opened", () => "refused");
  return fetch("/report", {method: "POST", body: JSON.stringify(seen)});
}
main().catch(error => fetch("/report", {method: "POST", body: JSON.stringify(String(error))}));
</script>"""


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        return await WEBSOCKETS[scope["path"]](scope, receive, send)
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    if scope["path"] == "/report":
        note("report", json.loads(body + message["body"]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": PAGE})


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    note("gone", [scope["http_version"], message["code"], message["reason"]])


async def close(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})


async def refuse(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})


WEBSOCKETS = {"/echo": echo, "/close": close, "/refuse": refuse}
