"""Programs as tutorials show them: `Granian(...)` with hooks and most options, an embedded server."""

from __future__ import annotations

import ssl
import sys

import pytest
from e2e.server import APPS
from e2e.tls import Files, TlsWire, context

PROGRAM = """
    import asyncio
    from pathlib import Path

    from granian import Granian, loops
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP1Settings, HTTP2Settings
    from granian.log import LogLevels

    @loops.register("custom")
    def build_loop():
        print("@loop custom", flush=True)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop

    server = Granian(
        "tutorial:app",
        address="127.0.0.1",
        port=0,
        interface=Interfaces.ASGI,
        workers=1,
        loop="custom",
        http=HTTPModes.auto,
        http1_settings=HTTP1Settings(header_read_timeout=5000, max_buffer_size=65536, pipeline_flush=False),
        http2_settings=HTTP2Settings(max_concurrent_streams=100, keep_alive_interval=10_000),
        log_level="info",
        log_access=True,
        log_access_format="%(protocol)s %(status)d",
        ssl_cert="cert.pem",
        ssl_key="key.pem",
        ssl_ca="ca.pem",
        ssl_client_verify=True,
        ssl_protocol_min="tls1.2",
        static_path_mount="./public",
        static_path_route="/static",
        workers_lifetime=3600,
        workers_max_rss=512,
        respawn_failed_workers=True,
        pid_file=Path("server.pid"),
    )

    @server.on_startup
    def started():
        print("@hook startup", flush=True)

    @server.on_reload
    def reloaded():
        print("@hook reload", flush=True)

    @server.on_shutdown
    def stopped():
        print("@hook shutdown", flush=True)

    if __name__ == "__main__":
        server.serve()
        print("@hook ended", flush=True)
"""


def test_program(program, tmp_path):
    files = Files.make(tmp_path)
    for name, path in (("cert.pem", files.certificate), ("key.pem", files.key), ("ca.pem", files.ca)):
        (tmp_path / name).write_bytes(path.read_bytes())
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "app.js").write_text("script")
    running = program(PROGRAM, env={"PYTHONPATH": str(APPS)}).wait_ready()
    running.wait_line("@loop custom")
    client = context(files.authority, client=files.authority.issue("client").write(tmp_path, "client"))
    with TlsWire(running, client) as wire:
        assert wire.request("GET", "/a").response().body == b"https 127.0.0.1 /a"
        assert wire.request("GET", "/static/app.js").response().body == b"script"
    running.wait_line(r"HTTP/1\.1 200$")
    assert (tmp_path / "server.pid").read_text().strip() == str(running.process.pid)
    # No certificate, no answer.
    with pytest.raises((ssl.SSLError, ConnectionError)), TlsWire(running, context(files.authority)) as wire:
        wire.request("GET", "/a").response()
    running.stop()
    hooks = [text for text in running.lines() if text.startswith("@hook")]
    assert hooks == ["@hook startup", "@hook shutdown", "@hook ended"]


EMBEDDED = """
    import asyncio
    from granian.constants import Interfaces
    from granian.server.embed import Server
    from tutorial import rsgi

    server = Server(rsgi, address="127.0.0.1", port=0, interface=Interfaces.RSGI)

    async def main():
        task = asyncio.create_task(server.serve())
        while server.url is None:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
        writer.write(b"GET /text HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n")
        print("@answer", (await reader.read()).rpartition(b"\\r\\n")[2].decode(), flush=True)
        writer.close()
        server.stop()
        await task

    asyncio.run(main())
"""


def test_embedded_program(program):
    running = program(EMBEDDED, env={"PYTHONPATH": str(APPS)})
    assert running.wait_exit(30) == 0, running.log()
    running.wait_line("@answer text")


PYPROJECT = """
[tool.granian]
app = "tutorial:app"
port = 1
access-log = true
access-log-fmt = "line %(path)s"
static-path-mount = "public"
ws = false

[tool.granian.log-config.formatters.generic]
"()" = "logging.Formatter"
fmt = "theirs: %(message)s"
"""


def test_everything_in_pyproject(program, tmp_path):
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "app.js").write_text("script")
    command = [sys.executable, "-m", "granian"]
    env = {"PYTHONPATH": str(APPS), "PORT": "0", "WEB_CONCURRENCY": "2"}
    running = program("", command=command, env=env).wait_ready()
    running.wait_line("Started worker-2")
    assert running.get("/path").body == b"http 127.0.0.1 /path"
    assert running.get("/static/app.js").body == b"script"
    running.wait_line("line /path$")
    running.wait_line("^theirs: Listening at")
    running.stop()
