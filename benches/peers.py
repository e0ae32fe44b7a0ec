"""The table of servers: what each needs installed, its settings per interface, and its command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benches import files

OURS = "ours"
REFERENCE = "granian"

Settings = Mapping[str, tuple[str, ...]]
"""Arguments by the name of the setting; the first one judges: it is what the server does without options."""


@dataclass(frozen=True)
class Launch:
    """The workload and the setting of one server process."""

    bin: Path
    interface: str
    target: str
    port: int
    arguments: tuple[str, ...] = ()
    host: str = "127.0.0.1"


@dataclass(frozen=True, eq=False)
class Peer:
    """A server that can be measured."""

    name: str
    distribution: str
    requirements: tuple[str, ...]
    command: Callable[[Launch], list[str]]
    settings: Mapping[str, Settings]
    many_connections: tuple[str, ...] = ()
    """Arguments without which the server refuses thousands of connections."""
    tls: tuple[str, str] | None = None
    """The options that take a certificate and its key, for servers that are measured with them."""
    program: str = ""
    """The program of a server that is no Python package; nothing is installed for it."""
    needs: str = ""
    """The message for a server that does not run in its environment."""


def _granian(launch: Launch) -> list[str]:
    interface = "asgi" if launch.interface == "static" else launch.interface
    command = [str(launch.bin / "granian"), "--interface", interface, "--host", launch.host]
    if launch.interface == "static":
        command += ["--static-path-mount", str(files.folder())]
    return [*command, "--port", str(launch.port), "--workers", "1", "--no-log", *launch.arguments, launch.target]


def _uvicorn(launch: Launch) -> list[str]:
    command = [str(launch.bin / "uvicorn"), "--host", launch.host, "--port", str(launch.port), "--no-access-log"]
    return [*command, "--log-level", "warning", *launch.arguments, launch.target]


def _hypercorn(launch: Launch) -> list[str]:
    target = f"wsgi:{launch.target}" if launch.interface == "wsgi" else launch.target
    command = [str(launch.bin / "hypercorn"), "--bind", f"127.0.0.1:{launch.port}", "--workers", "1"]
    return [*command, "--log-level", "warning", *launch.arguments, target]


def _gunicorn(launch: Launch) -> list[str]:
    command = [str(launch.bin / "gunicorn"), "--bind", f"127.0.0.1:{launch.port}", "--workers", "1"]
    return [
        *command,
        "--log-level",
        "warning",
        "--keep-alive",
        "60",
        "--timeout",
        "0",
        *launch.arguments,
        launch.target,
    ]


def _fastpysgi(launch: Launch) -> list[str]:
    code = (
        "import sys, importlib, fastpysgi\n"
        "module, _, name = sys.argv[1].partition(':')\n"
        "if sys.argv[3] == 'uvloop':\n"
        "    import uvloop\n"
        "    fastpysgi.server.loop = uvloop.new_event_loop()\n"
        "fastpysgi.run(getattr(importlib.import_module(module), name), '127.0.0.1', int(sys.argv[2]))\n"
    )
    return [str(launch.bin / "python"), "-c", code, launch.target, str(launch.port), *launch.arguments]


def _socketify(launch: Launch) -> list[str]:
    command = [str(launch.bin / "python"), "-m", "socketify", launch.target, "--interface", launch.interface]
    return [*command, "--host", "127.0.0.1", "--port", str(launch.port), "--workers", "1", *launch.arguments]


def _nginx(launch: Launch) -> list[str]:
    """Its configuration is a file of its own in the server's folder; blocks cannot be given as arguments."""
    configuration = launch.bin / f"nginx-{launch.port}.conf"
    secured = dict(zip(launch.arguments[::2], launch.arguments[1::2], strict=True))
    facts = {
        "folder": launch.bin,
        "port": launch.port,
        "ssl": " ssl" if secured else "",
        "tls": " ".join(f"{name} {path};" for name, path in secured.items()),
        "location": _NGINX_LOCATIONS[launch.interface] % {"files": files.folder().parent, "target": launch.target},
    }
    configuration.write_text(_NGINX % facts)
    return ["nginx", "-p", str(launch.bin), "-c", str(configuration)]


_NGINX_LOCATIONS = {
    "native": 'default_type text/plain; return 200 "Hello, world!";',
    "static": "root %(files)s; default_type application/octet-stream; add_header cache-control max-age=86400;",
    # The target is the level.
    "gzip": "root %(files)s; types { application/json json; text/html html; } gzip on; gzip_comp_level %(target)s; "
    "gzip_types application/json;",
}
_NGINX = """
daemon off;
worker_processes 1;
pid %(folder)s/nginx-%(port)d.pid;
error_log stderr crit;
events { worker_connections 16384; }
http {
    access_log off;
    sendfile on;
    open_file_cache max=1000;
    keepalive_requests 1000000000;
    ssl_protocols TLSv1.3;
    server {
        listen 127.0.0.1:%(port)d%(ssl)s;
        %(tls)s
        location / { %(location)s }
    }
}
"""
_DEFAULT: Settings = {"default": ()}
# All of these choose uvloop by themselves, which every environment has.
_LOOPS: Settings = {**_DEFAULT, "asyncio": ("--loop", "asyncio")}
_THREADS: Settings = {**_DEFAULT, "1 thread": ("--blocking-threads", "1")}
_GRANIAN = {
    "asgi": _LOOPS,
    "rsgi": _LOOPS,
    "static": _LOOPS,
    "wsgi": _THREADS,
    "asgi websocket": _LOOPS,
    "rsgi websocket": _LOOPS,
}
_UVICORN = {
    "asgi": _LOOPS,
    "asgi websocket": {
        **_LOOPS,
        **{library: ("--ws", library) for library in ("websockets", "websockets-sansio", "wsproto")},
    },
}
# What the applications need.
_FRAMEWORKS = ("fastapi", "flask", "django", "psycopg[binary,pool]", "asyncpg")
_TLS = ("--ssl-certificate", "--ssl-keyfile")
_MANY = ("--backlog", "8192", "--backpressure", "8192")

PEERS = (
    Peer(OURS, "granian", ("maturin>=1.10,<2", "uvloop", *_FRAMEWORKS), _granian, _GRANIAN, _MANY, _TLS),
    Peer(REFERENCE, "granian", ("granian==2.8.9", "uvloop", *_FRAMEWORKS), _granian, _GRANIAN, _MANY, _TLS),
    Peer("uvicorn", "uvicorn", ("uvicorn[standard]", "wsproto", *_FRAMEWORKS), _uvicorn, _UVICORN),
    Peer(
        "fastpysgi",
        "fastpysgi",
        ("fastpysgi", "uvloop", *_FRAMEWORKS),
        _fastpysgi,
        {"asgi": {"default": ("asyncio",), "uvloop": ("uvloop",)}, "wsgi": {"default": ("default",)}},
    ),
    Peer(
        "gunicorn",
        "gunicorn",
        ("gunicorn", "uvloop", "httptools", *_FRAMEWORKS),
        _gunicorn,
        {
            "asgi": {"default": ("-k", "asgi"), "asyncio": ("-k", "asgi", "--asgi-loop", "asyncio")},
            # Without options it serves one request a time and closes each connection, which nobody would compare.
            "wsgi": {
                "gthread 4": ("-k", "gthread", "--threads", "4"),
                "gthread 1": ("-k", "gthread", "--threads", "1"),
            },
        },
    ),
    Peer(
        "hypercorn",
        "hypercorn",
        ("hypercorn", "uvloop", *_FRAMEWORKS),
        _hypercorn,
        {
            "asgi": {**_DEFAULT, "uvloop": ("-k", "uvloop")},
            "wsgi": {**_DEFAULT, "uvloop": ("-k", "uvloop")},
        },
    ),
    Peer(
        "socketify",
        "socketify",
        ("socketify", *_FRAMEWORKS),
        _socketify,
        {"asgi": _DEFAULT, "wsgi": _DEFAULT},
        needs="its wheel needs the system's libuv (Debian: apt install libuv1)",
    ),
    Peer(
        "nginx",
        "",
        (),
        _nginx,
        {"native": {"return 200": ()}, "static": {"sendfile": ()}},
        tls=("ssl_certificate", "ssl_certificate_key"),
        program="nginx",
        needs="(Debian: apt install nginx-light)",
    ),
)
