"""The values that options choose from. All are strings, so a plain string is accepted as well."""

from __future__ import annotations

from enum import Enum


class StrEnum(str, Enum):
    """A string that is one of a few."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class Interfaces(StrEnum):
    """Interfaces to the application. `auto`, the default, looks at it; `asginl` is ASGI without lifespan."""

    AUTO = "auto"
    ASGI = "asgi"
    ASGINL = "asginl"
    RSGI = "rsgi"
    WSGI = "wsgi"


class HTTPModes(StrEnum):
    """The versions of HTTP that are spoken; `auto`, the default, is both."""

    auto = "auto"
    http1 = "1"
    http2 = "2"


class ForwardedHeaders(StrEnum):
    """Header fields that proxies tell of their clients with; `forwarded` counts in requests without the others."""

    x_forwarded_for = "x-forwarded-for"
    x_forwarded_proto = "x-forwarded-proto"
    x_forwarded_host = "x-forwarded-host"
    x_forwarded_port = "x-forwarded-port"
    x_forwarded_prefix = "x-forwarded-prefix"
    forwarded = "forwarded"


class RuntimeModes(StrEnum):
    """The threads that connections live on: the event loop's own (st), or threads of their own (mt). `auto` is st."""

    auto = "auto"
    mt = "mt"
    st = "st"


class Loops(StrEnum):
    """Event loops; `auto`, the default, is the first one installed of rloop, uvloop, asyncio.

    `winloop` is Granian 2's name for a loop on Windows. This server does not run there and refuses it at start.
    """

    auto = "auto"
    asyncio = "asyncio"
    rloop = "rloop"
    uvloop = "uvloop"
    winloop = "winloop"


class Overload(StrEnum):
    """What happens when more requests come than can be answered in time: they wait (`off`), or some are refused."""

    off = "off"
    auto = "auto"


class TaskImpl(StrEnum):
    """Kept for compatibility, without effect: tasks are asyncio's own, started eagerly where CPython can."""

    asyncio = "asyncio"
    rust = "rust"


class SSLProtocols(StrEnum):
    """Versions of TLS; the oldest that is taken is 1.3 by default, as is the newest."""

    tls12 = "tls1.2"
    tls13 = "tls1.3"
