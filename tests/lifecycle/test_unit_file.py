"""The command of deploy/systemd/granian.service on a socket that systemd's own program holds."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = b"""
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
"""


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not there")
def test_the_unit_serves_on_the_socket_of_systemd(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "systemd" / "granian.service").read_text()
    found = re.search(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    assert found
    (tmp_path / "main.py").write_bytes(APP)
    path = tmp_path / "socket"
    # The first client starts the server, in the place of the program.
    command = ["systemd-socket-activate", "-l", str(path), sys.executable, "-m", "granian", "--metrics-port", "0"]
    with subprocess.Popen(
        [*command, *shlex.split(found[1])], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr
            assert next(line for line in process.stderr if "Listening on" in line)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(60)
                client.connect(str(path))
                client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
                assert client.recv(64).startswith(b"HTTP/1.1 204 ")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
