"""Other readers of HTTP/1, and the bytes that they are given: h11, and llhttp through httptools."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h11
import httptools

from .server import Server
from .wire import Wire

CORPUS = Path(__file__).parents[2] / "crates/proto/corpus/h1"
# More than any input has, so that limits don't show.
LARGE = 1 << 20


class Message(NamedTuple):
    """One whole request, in the form that does not depend on who read it."""

    method: str
    path: str
    query: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass
class Reading:
    """The messages that a parser found in the bytes and the end behind them."""

    messages: list[Message] = field(default_factory=list)
    refused: bool = False


# This server.


def ask(server: Server, inputs: list[bytes]) -> list[Reading]:
    """The server's messages for each input, on a connection of its own."""
    wires = []
    for data in inputs:
        wire = server.connect()
        wires.append(wire)
        wire.send(data).half_close()
    return [_answers(wire) for wire in wires]


def _answers(wire: Wire) -> Reading:
    reading = Reading()
    with wire:
        *heads, rest = wire.rest().split(b"\r\n\r\n")
    assert rest == b"", rest
    for head in heads:
        status = head[:12]
        assert not reading.refused, "nothing follows a refusal"
        if found := re.search(rb"\r\nx-seen: (.*)", head):
            seen = json.loads(found[1])
            headers = [(name, value) for name, value in seen.pop("headers")]
            reading.messages.append(Message(**seen, headers=_plain(headers)))
        elif status != b"HTTP/1.1 100":
            assert status[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5") and status != b"HTTP/1.1 500", head
            reading.refused = True
    return reading


# The others.


def read_h11(data: bytes) -> Reading:
    reading = Reading()
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGE)
    connection.receive_data(data)
    connection.receive_data(b"")
    request, body = None, b""
    try:
        while not isinstance(event := connection.next_event(), h11.ConnectionClosed):
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                head = (request.method, request.target, request.http_version.decode(), request.headers)
                reading.messages.append(_message(*head, body))
                connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
    except h11.RemoteProtocolError:
        reading.refused = True
    return reading


class _Collector:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.parser = httptools.HttpRequestParser(self)
        self.is_amid = False
        self.is_over = False

    def on_message_begin(self) -> None:
        self.is_amid = True
        self.url, self.body = b"", b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        # Later fields are trailers.
        self.head = (self.parser.get_method(), self.url, self.parser.get_http_version(), list(self.headers))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_amid = False
        if not self.is_over:
            self.reading.messages.append(_message(*self.head, self.body))
        self.is_over |= not self.parser.should_keep_alive()


def read_llhttp(data: bytes) -> Reading:
    collector = _Collector()
    try:
        # The next request is not looked for behind an upgrade, which this server does not offer.
        while True:
            try:
                collector.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                reading = collector.reading
                collector = _Collector()
                collector.reading = reading
                continue
            break
    except httptools.HttpParserError:
        collector.reading.refused = not collector.is_over
    collector.reading.refused |= collector.is_amid and not collector.is_over
    return collector.reading


def _message(method: bytes, target: bytes, version: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Message:
    text = target.decode("latin-1").partition("#")[0]
    absolute = re.match("[a-zA-Z]+://([^/?]*)", text)
    path, _, query = text[absolute.end() if absolute else 0 :].partition("?")
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    if absolute:
        # Theirs leave that to their users: the target's host counts (RFC 9112, 3.2.2).
        fields = [(name, absolute[1] if name.lower() == "host" else value) for name, value in fields]
    return Message(method.decode("latin-1"), path or "/", query, version, _plain(fields), body.decode("latin-1"))


def _plain(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Without what has no meaning: case, spaces around values, and repeated lengths (RFC 9110, 8.6)."""
    plain = []
    for name, value in headers:
        item = (name.lower(), value.strip(" \t"))
        if item[0] == "transfer-encoding":
            item = (item[0], item[1].lower())
        if item[0] != "content-length" or item not in plain:
            plain.append(item)
    return tuple(plain)


# The bytes.


def corpus() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*/*.http"))}


MARKS = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"f", b"\x80", b"#", b"%"]


def damaged(seed: int, files: list[bytes]) -> bytes:
    """A file of the corpus with up to four places of damage."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(files))
    for _ in range(chance.randrange(5)):
        at = chance.randrange(len(data) + 1)
        other = chance.choice(files)
        piece = chance.choice([chance.randbytes(1), bytes(data[:at]), other[chance.randrange(len(other)) :], b""])
        if chance.random() < 0.5:
            piece = chance.choice(MARKS)
        data[at : at + chance.randrange(4)] = piece
    return bytes(data[:2000])


LINES = [
    "Content-Length: 3",
    "Content-Length: 4",
    "content-length:03 ",
    "Content-Length: 3, 3",
    "Content_Length: 3",
    "Transfer-Encoding: chunked",
    "transfer-encoding:\tChunked",
    "Transfer-Encoding: identity, chunked",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding : chunked",
    "Connection: close",
    "Connection: keep-alive, x",
    "Connection: content-length",
    "Expect: 100-continue",
    "Upgrade: x",
    "Host: b",
    "X: caf\xe9",
    " folded",
]
BODIES = ["", "abc", "3\r\nabc\r\n0\r\n\r\n", "3;a\r\nabc\r\n0\r\nX: y\r\n\r\n", "0\r\n\r\n", "03\r\nabc\r\n00\r\n\r\n"]


def framed(seed: int) -> bytes:
    """Two requests, the first with a body whose framing may be contradictory."""
    chance = random.Random(seed)
    method = chance.choice(["GET", "POST", "HEAD", "OPTIONS"])
    target = chance.choice(["/", "/a?b=c", "http://a/b", "*", "/#f"])
    version = chance.choice(["1.1"] * 4 + ["1.0"])
    lines = ["Host: a", *chance.sample(LINES, chance.randrange(4))]
    first = f"{method} {target} HTTP/{version}\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return (first + chance.choice(BODIES)).encode("latin-1") + b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
