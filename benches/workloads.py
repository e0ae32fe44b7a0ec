"""The table of workloads: what is asked, what must come back, and the figures to reach (docs/benchmarks)."""

from dataclasses import dataclass, replace

from benches.websocket import MESSAGE

HELLO = b"Hello, world!"
LARGE = bytes(100 * 1024 * 1024)
TEN_KIB = b"x" * 10240
JSON = b'{"message":"Hello, world!","items":[1,2,3]}'
ITEM = b'{"id":7,"message":"Hello, world!"}'
# As Flask and Django write it.
FLASK_JSON = b'{"items":[1,2,3],"message":"Hello, world!"}\n'
FLASK_ITEM = ITEM + b"\n"
DJANGO_JSON = b'{"message": "Hello, world!", "items": [1, 2, 3]}'
DJANGO_ITEM = b'{"id": 7, "message": "Hello, world!"}'


@dataclass(frozen=True)
class Goal:
    """Factors of granian 2.8.9, or of another peer, in the same run, and peers not to fall behind."""

    must: float | None = None
    aim: float | None = None
    must_beat: str | None = None
    aim_beat: str | None = None
    tail: tuple[str, ...] = ()
    """Servers whose 99th percentile of the latency ours must not exceed."""
    of: str = "granian"


@dataclass(frozen=True)
class Workload:
    """One row: an application of benches/apps (none if `native`) and the request that is repeated against it."""

    name: str
    interface: str
    target: str
    expect: bytes
    goal: Goal
    path: str = "/"
    upload: int = 0
    """Bytes of the POST body; 0 is a GET."""
    load: str = "wrk"
    """The load generator: wrk, h2load for HTTP/2, websocket for
    benches/websocket.py, `full` and `resumed` handshakes, or `transfer`s over HTTP/2 with curl."""
    connections: int = 64
    streams: int = 1
    """Requests at once on each connection, with h2load."""

    secure: bool = False
    database: bool = False
    """Whether the application asks a PostgreSQL."""
    status: int = 200
    field: str = ""
    """A request field, `name: value`."""
    coding: str = ""
    """The content coding that the answer must have; `expect` is its body decoded."""

    @property
    def settings(self) -> str:
        """Under which name servers have their settings for it."""
        return f"{self.interface} websocket" if self.load == "websocket" else self.interface

    @property
    def method(self) -> str:
        return "POST" if self.upload else "GET"

    @property
    def least_bytes(self) -> int:
        """Bytes that an answer has at least."""
        return 100 if self.coding else len(self.expect)


_TAIL = Goal(tail=("granian", "gunicorn", "uvicorn"))
_FRAMEWORKS = (
    Workload("flask-json", "wsgi", "flask_app:app", FLASK_JSON, Goal(0.90), path="/json"),
    Workload("flask-query", "wsgi", "flask_app:app", FLASK_ITEM, _TAIL, path="/query", database=True),
    Workload("django-json", "wsgi", "django_app:app", DJANGO_JSON, Goal(), path="/json"),
    Workload("django-query", "wsgi", "django_app:app", DJANGO_ITEM, _TAIL, path="/query", database=True),
    Workload("fastapi-query", "asgi", "fastapi_query_app:app", ITEM, _TAIL, path="/query", database=True),
)
ONE_MIB = b"x" * 1024 * 1024

WORKLOADS = (
    # What a native server needs that has no application: how far there is to go below the hello rows.
    Workload("native-hello", "native", "", HELLO, Goal()),
    # Files below a route, beside nginx with sendfile and open_file_cache.
    Workload("static-10k", "static", "asgi_app:hello", TEN_KIB, Goal(1.3, 0.9, of="nginx"), path="/static/10k.bin"),
    Workload("static-1m", "static", "asgi_app:hello", ONE_MIB, Goal(1.1, 1.0, of="nginx"), path="/static/1m.bin"),
    Workload(
        *("static-304", "static", "asgi_app:hello", b"", Goal(1.2, 0.9, of="nginx")),
        path="/static/10k.bin",
        status=304,
        field="if-none-match: *",
    ),
    Workload(
        "static-tls-10k",
        "static",
        "asgi_app:hello",
        TEN_KIB,
        Goal(1.2, 1.0, of="nginx"),
        path="/static/10k.bin",
        secure=True,
    ),
    Workload("asgi-hello", "asgi", "asgi_app:hello", HELLO, Goal(0.50, 0.40)),
    Workload("asgi-10k", "asgi", "asgi_app:body_10k", TEN_KIB, Goal(0.50, 0.40)),
    Workload("asgi-file-10k", "asgi", "asgi_app:file_10k", TEN_KIB, Goal(0.50)),
    Workload("asgi-echo", "asgi", "asgi_app:echo", TEN_KIB, Goal(0.40, 0.30), upload=10240),
    Workload("asgi-stream", "asgi", "asgi_app:stream", TEN_KIB, Goal(0.30, 0.20)),
    Workload("asgi-sleep", "asgi", "asgi_app:sleep", HELLO, Goal(0.70, 0.50)),
    Workload("fastapi-async", "asgi", "fastapi_app:app", JSON, Goal(0.70, must_beat="uvicorn"), path="/async"),
    Workload("fastapi-sync", "asgi", "fastapi_app:app", JSON, Goal(0.90, must_beat="uvicorn"), path="/sync"),
    Workload("tls-hello", "asgi", "asgi_app:hello", HELLO, Goal(0.60), secure=True),
    Workload("tls-hello-rsgi", "rsgi", "rsgi_app:hello", HELLO, Goal(0.60), secure=True),
    Workload("tls-h2-asgi", "asgi", "asgi_app:hello", HELLO, Goal(0.75), load="h2load", streams=10, secure=True),
    Workload("tls-h2-rsgi", "rsgi", "rsgi_app:hello", HELLO, Goal(0.85), load="h2load", streams=10, secure=True),
    Workload("tls-handshake-full", "asgi", "asgi_app:hello", HELLO, Goal(0.70), load="full", secure=True),
    Workload("tls-handshake-resumed", "asgi", "asgi_app:hello", HELLO, Goal(0.67), load="resumed", secure=True),
    Workload("tls-h2-download", "asgi", "asgi_app:download", LARGE, Goal(0.70), load="transfer", secure=True),
    Workload(
        "tls-h2-upload",
        "asgi",
        "asgi_app:count",
        b"%d" % len(LARGE),
        Goal(0.70),
        upload=len(LARGE),
        load="transfer",
        secure=True,
    ),
    Workload("rsgi-hello", "rsgi", "rsgi_app:hello", HELLO, Goal(0.50, 0.40)),
    Workload("rsgi-10k", "rsgi", "rsgi_app:body_10k", TEN_KIB, Goal()),
    Workload("rsgi-file-10k", "rsgi", "rsgi_app:file_10k", TEN_KIB, Goal(0.50)),
    Workload("rsgi-echo", "rsgi", "rsgi_app:echo", TEN_KIB, Goal(0.40, 0.30), upload=10240),
    Workload("rsgi-stream", "rsgi", "rsgi_app:stream", TEN_KIB, Goal(0.60, 0.40)),
    Workload("asgi-h2-1x100", "asgi", "asgi_app:hello", HELLO, Goal(0.75), load="h2load", connections=1, streams=100),
    Workload("asgi-h2-64x10", "asgi", "asgi_app:hello", HELLO, Goal(0.75), load="h2load", streams=10),
    Workload("rsgi-h2-1x100", "rsgi", "rsgi_app:hello", HELLO, Goal(0.85), load="h2load", connections=1, streams=100),
    Workload("rsgi-h2-64x10", "rsgi", "rsgi_app:hello", HELLO, Goal(0.85), load="h2load", streams=10),
    Workload("wsgi-hello", "wsgi", "wsgi_app:hello", HELLO, Goal(0.70, 0.55, aim_beat="fastpysgi")),
    Workload("wsgi-10k", "wsgi", "wsgi_app:body_10k", TEN_KIB, Goal(0.70, 0.55, aim_beat="fastpysgi")),
    Workload("wsgi-echo", "wsgi", "wsgi_app:echo", TEN_KIB, Goal(0.70, 0.55, aim_beat="fastpysgi"), upload=10240),
    Workload("wsgi-stream", "wsgi", "wsgi_app:stream", TEN_KIB, Goal(0.35, 0.25)),
    *_FRAMEWORKS,
    # More clients than threads, connections of a pool, or both.
    *(replace(row, name=f"{row.name}-256", connections=256, goal=Goal()) for row in _FRAMEWORKS),
    Workload(
        "websocket-asgi", "asgi", "asgi_app:websocket", MESSAGE, Goal(0.30, 0.20, must_beat="uvicorn"), load="websocket"
    ),
    Workload("websocket-rsgi", "rsgi", "rsgi_app:websocket", MESSAGE, Goal(0.30, 0.20), load="websocket"),
)
