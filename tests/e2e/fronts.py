"""nginx and HAProxy in front of a server under test, on sockets that the tests have bound, in a folder of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from .tls import Files

# Who connects from where: the client and each proxy have an address of their own.
CLIENT, NGINX, HAPROXY = "127.0.0.2", "127.0.0.3", "127.0.0.4"
TRUSTED = ("--forwarded-allow-ips", f"{NGINX},{HAPROXY}")
STOP_WITHIN = 5.0


class Front:
    """One proxy that runs, with a plain port and a secured one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sockets = [_listening(), _listening()]
        self.port, self.secured_port = (int(one.getsockname()[1]) for one in self.sockets)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *command: str, env: dict[str, str] | None = None) -> None:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[one.fileno() for one in self.sockets],
            )
        for one in self.sockets:
            one.close()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def check(self) -> None:
        assert self._process is not None and self._process.poll() is None, self.log()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def nginx(folder: Path, files: Files, upstream: str, *, is_inner: bool = False) -> Front:
    """nginx in front of `upstream`: `127.0.0.1:PORT` or `unix:PATH`. An inner one hands on what an outer one has told.

    Below `/api/` it takes that prefix away and says so.
    """
    program = _found("nginx")
    front = Front(folder)
    ports = {"port": front.port, "secured_port": front.secured_port, "upstream": upstream, "folder": folder}
    told = INNER if is_inner else EDGE
    headers = "".join(f"proxy_set_header {name} {value};\n" for name, value in {**COMMON, **told}.items())
    (folder / "headers.conf").write_text(headers)
    (folder / "prefixed.conf").write_text(headers.replace('X-Forwarded-Prefix ""', "X-Forwarded-Prefix /api"))
    more = {"certificate": files.certificate, "key": files.key, "user": getpass.getuser()}
    text = NGINX_CONF % {**ports, **more, "address": "off" if upstream.startswith("unix:") else NGINX}
    (folder / "nginx.conf").write_text(text)
    descriptors = "".join(f"{one.fileno()};" for one in front.sockets)
    # The way in which nginx hands its sockets to a successor.
    front.start(program, "-e", "stderr", "-p", str(folder), "-c", f"{folder}/nginx.conf", env={"NGINX": descriptors})
    return front


def haproxy(
    folder: Path, files: Files, upstream: str, *, rules: str = "", server: str = "", mode: str = "http"
) -> Front:
    """HAProxy in front of `127.0.0.1:PORT`, with `rules` in its frontend and further words on its `server` line."""
    program = _found("haproxy")
    front = Front(folder)
    pem = files.write("haproxy.pem", files.certificate.read_text() + files.key.read_text())
    plain, secured = (one.fileno() for one in front.sockets)
    bind = f"bind fd@{plain}\n    bind fd@{secured} ssl crt {pem} alpn h2,http/1.1"
    if mode == "passthrough":
        bind, mode = f"bind fd@{plain}\n    bind fd@{secured}", "tcp"
    text = HAPROXY_CONF % {
        "mode": mode,
        "bind": bind,
        "rules": rules,
        "server": f"{upstream} source {HAPROXY} {server}",
    }
    (folder / "haproxy.cfg").write_text(text)
    front.start(program, "-db", "-f", f"{folder}/haproxy.cfg")
    return front


def _listening() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    return made


def _found(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (make clients)")
    return path


COMMON = {
    "Upgrade": "$http_upgrade",
    "Connection": "$connection_upgrade",
    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
}
EDGE = {
    "X-Forwarded-Proto": "$scheme",
    "X-Forwarded-Host": "$http_host",
    "X-Forwarded-Port": '""',
    "X-Forwarded-Prefix": '""',
    "Forwarded": '""',
}
INNER = {"Forwarded": '""'}
NGINX_CONF = """
daemon off;
# A single process breaks on sockets that it has inherited. The user counts for root only.
user %(user)s;
worker_processes 1;
pid %(folder)s/pid;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    server {
        listen 127.0.0.1:%(port)d;
        listen 127.0.0.1:%(secured_port)d ssl http2;
        ssl_certificate %(certificate)s;
        ssl_certificate_key %(key)s;
        proxy_http_version 1.1;
        proxy_bind %(address)s;
        location / {
            proxy_pass http://%(upstream)s;
            include %(folder)s/headers.conf;
        }
        location /api/ {
            proxy_pass http://%(upstream)s/;
            include %(folder)s/prefixed.conf;
        }
    }
}
"""
HAPROXY_CONF = """
global
    maxconn 64
defaults
    mode %(mode)s
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    %(bind)s
%(rules)s
    default_backend back
backend back
    server upstream %(server)s
"""
# The rules of an outermost HAProxy, and of one behind another proxy, which appends to the lists.
OUTER = """
    option forwardfor
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    http-request set-header X-Forwarded-Proto http unless { ssl_fc }
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request del-header X-Forwarded-Port
    http-request del-header X-Forwarded-Prefix
    http-request del-header Forwarded
    http-request set-header X-Forwarded-Prefix /api if { path_beg /api/ }
    http-request replace-path /api(/.*) \\1 if { path_beg /api/ }
"""
APPENDING = """
    option forwardfor
    http-request add-header X-Forwarded-Proto http
    http-request del-header Forwarded
"""
