"""Signatures of the servers: typed, documented, and equal to the table of options."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from granian import Granian
from granian.config import Config
from granian.config.keywords import EmbeddedKeywords, Keywords
from granian.errors import ConfigurationError
from granian.server.embed import Server

ROOT = Path(__file__).parent.parent.parent


def test_signature_of_granian():
    parameters = inspect.signature(Granian).parameters
    fields = [field for field in dataclasses.fields(Config) if field.name != "ssl_ticket_seed"]
    assert list(parameters) == [field.name for field in fields]
    assert set(parameters) == {"target", *Keywords.__annotations__, *EmbeddedKeywords.__annotations__}
    assert parameters["port"].default == 8000
    assert parameters["bind"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "port: 'int' = 8000" in str(inspect.signature(Granian))


def test_signature_of_an_embedded_server():
    parameters = inspect.signature(Server).parameters
    assert set(parameters) == {"target", *EmbeddedKeywords.__annotations__}
    server = Server(lambda scope: None)
    for name, parameter in parameters.items():
        if name not in ("target", "http1_settings", "http2_settings"):
            made = server.factory if name == "factory" else getattr(server.config, name)
            assert made == parameter.default, name
    assert parameters["http1_settings"].annotation == "HTTP1Settings | None"
    for name in Keywords.__annotations__.keys() - EmbeddedKeywords.__annotations__.keys():
        with pytest.raises(ConfigurationError, match="not available in an embedded server"):
            Server(lambda scope: None, **{name: None})


def test_checkers_find_a_slip(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(
        "from granian import Granian\n"
        "from granian.server.embed import Server\n"
        'Granian("main:app", port=1, interface="asgi", drain_timeout="1m")\n'
        'Granian("main:app", prt=1)\n'
        'Granian("main:app", port="1")\n'
        "Server(print, reload=True)\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--no-error-summary", str(program)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.splitlines()
    # Twice for the two kinds of `Granian`.
    assert {line.partition(": error: ")[0].rpartition(":")[2] for line in found if "error" in line} == {"4", "5", "6"}
