"""The little of HTTP/1.1 that the status listener speaks: one GET or HEAD on a connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """A request without a body."""

    method: str
    path: str
    query: dict[str, str]
    # By names in lower case; of several with one name, the first.
    fields: dict[str, str]


@dataclass(frozen=True)
class Response:
    """Its answer."""

    body: str = ""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    fields: dict[str, str] = field(default_factory=dict)


class BadRequest(Exception):
    """The bytes are no such request; `response` says so."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.response = Response(f"{reason}\n", status)


def parse(data: bytes) -> Request | None:
    """The request whose head `data` begins with; `None` if more of it is to come.

    # Errors
    `BadRequest` if it is none, or one that is not served.
    """
    head, end, _ = data.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD:
        raise BadRequest(431, "the head is too long")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    match first.split(" "):
        case [method, target, "HTTP/1.0" | "HTTP/1.1"]:
            pass
        case _:
            raise BadRequest(400, "this is no request of HTTP/1")
    if method not in ("GET", "HEAD"):
        raise BadRequest(405, "only GET and HEAD are served here")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise BadRequest(400, "a field is malformed")
        fields.setdefault(name.lower(), value.strip())
    try:
        parts = urlsplit(target)
    except ValueError:
        raise BadRequest(400, "the target is no URL") from None
    return Request(method, parts.path or "/", dict(parse_qsl(parts.query)), fields)


def serialize(response: Response, is_head: bool) -> bytes:
    """The bytes of an answer, behind which the connection closes."""
    body = response.body.encode()
    phrase = HTTPStatus(response.status).phrase
    fields = {
        "content-type": response.content_type,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "date": formatdate(usegmt=True),
        "connection": "close",
        "x-content-type-options": "nosniff",
        **response.fields,
    }
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if is_head else head + body


# Bytes of a head.
MAX_HEAD = 8 * 1024
