"""Errors of `serve()`: one line in the log, with the option by the name that it was given by."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from click.testing import CliRunner
from e2e.server import bare

from granian import Granian
from granian.binding import Address
from granian.cli import cli
from granian.config import Config
from granian.errors import ConfigurationError, PidFileError
from granian.server.common import addresses_of
from granian.sockets import Listeners


@pytest.fixture
def busy_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.mark.parametrize("option", ["address", "bind"])
def test_a_busy_port_is_in_the_log_once(busy_port, option, capsys):
    options = {"port": busy_port} if option == "address" else {"bind": f"127.0.0.1:{busy_port}"}
    with pytest.raises(ConfigurationError, match="the address is in use by another program"):
        Granian("main:app", **options).serve()
    lines = [line for line in bare(capsys.readouterr().out).splitlines() if "ERROR" in line]
    assert lines == [
        f"[ERROR] {option}: Cannot listen on 127.0.0.1:{busy_port}: the address is in use by another program"
    ]


@pytest.mark.parametrize("log", ["--log", "--no-log"])
def test_once_on_the_command_line_too(busy_port, log):
    result = CliRunner().invoke(cli, ["--bind", f"127.0.0.1:{busy_port}", log, "main:app"])
    assert result.exit_code == 1
    lines = [line for line in bare(result.output).splitlines() if "ERROR" in line]
    assert lines == [
        f"[ERROR] --bind: Cannot listen on 127.0.0.1:{busy_port}: the address is in use by another program"
    ]


def test_a_pid_file_is_in_the_log_once(tmp_path, capsys):
    with pytest.raises(PidFileError):
        Granian("main:app", port=0, pid_file=tmp_path / "nowhere" / "pid").serve()
    assert capsys.readouterr().out.count("[ERROR]") == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"bind": "203.0.113.9:1"}, "bind"),
        ({"bind": "127.0.0.1:65536"}, "bind"),
        ({"bind": "unix:/nonexistent/socket"}, "bind"),
        ({"bind": "fd:1000000"}, "bind"),
        ({"address": "203.0.113.9"}, "address"),
        ({"uds": "/nonexistent/socket"}, "uds"),
        ({"fd": 1_000_000}, "fd"),
    ],
)
def test_the_option_that_is_wrong(options, named):
    with pytest.raises(ConfigurationError) as caught:
        Granian("main:app", **options).serve()
    assert caught.value.option == named


def test_the_port_of_redirects_is_an_option_of_its_own(busy_port):
    config = Config(target="main:app", port=0, ssl_redirect_port=busy_port)
    with pytest.raises(ConfigurationError) as caught:
        Listeners.open(addresses_of(config), 1, 16)
    assert caught.value.option == "ssl_redirect_port"


def test_addresses_are_the_same_however_named():
    assert Address.parse("unix:/a") == Address.unix("/a")


def test_new_options_are_no_positional_ones():
    """Nobody has promised their order."""
    # One more than there are, as the target is one of them.
    count = sum(not field.kw_only for field in dataclasses.fields(Config))
    with pytest.raises(TypeError, match="too many positional arguments"):
        Granian("main:app", *[None] * count)
