"""Configuration files: keys, types, precedence, messages; the checked and the printed configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from e2e.server import bare

from granian import cli
from granian.config import Config, options_of, protocol_options
from granian.config.file import read_config
from granian.config.schema import fault_of, schema_of
from granian.constants import Interfaces
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings, HTTP2Settings


class Command:
    """The command in a folder of its own, with a server that only remembers what it was made with."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.made = None
        monkeypatch.chdir(folder)
        monkeypatch.setattr("granian.cli.Server", self._make)
        monkeypatch.setattr("granian.cli.patch_pypath", lambda folder: None)

    def write(self, text, name="pyproject.toml"):
        head = "[tool.granian]\n" if name == "pyproject.toml" else ""
        (self.folder / name).write_text(head + text)
        return self

    def __call__(self, *arguments, env=None):
        return CliRunner().invoke(cli.cli, arguments, env=env)

    def config(self, *arguments, env=None):
        result = self("main:app", *arguments, env=env)
        assert (result.exit_code, result.output) == (0, ""), result.output
        return self.made

    def refusal(self, *arguments, env=None):
        result = self("main:app", *arguments, env=env)
        assert result.exit_code in (1, 2)
        lines = bare(result.output).splitlines()
        assert len(lines) == 1, result.output
        return lines[0]

    def _make(self, target, **options):
        self.made = Config.from_kwargs(target=target, **options)
        return self

    def serve(self):
        pass


@pytest.fixture
def command(tmp_path, monkeypatch):
    for name in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    return Command(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('host = "::1"', "address", "::1"),
        ("port = 1", "port", 1),
        ('interface = "wsgi"', "interface", Interfaces.WSGI),
        ("ws = false", "websockets", False),
        ("access-log = true", "log_access", True),
        ("access_log = true", "log_access", True),
        ('drain-timeout = "1m"', "drain_timeout", 60),
        ("drain-timeout = 5", "drain_timeout", 5),
        ("respawn-interval = 1", "respawn_interval", 1),
        ("respawn-interval = 1.5", "respawn_interval", 1.5),
        ('uds-permissions = "660"', "uds_permissions", 0o660),
        ("uds-permissions = 0o660", "uds_permissions", 0o660),
        ('bind = ["a:1", "b:2"]', "bind", ("a:1", "b:2")),
        ('bind = "a:1"', "bind", ("a:1",)),
        ("http1-keep-alive = false", "http1_settings", HTTP1Settings(keep_alive=False)),
        ("http2-max-concurrent-streams = 11", "http2_settings", HTTP2Settings(max_concurrent_streams=11)),
        (
            "log-config = {loggers = {theirs = {level = 'INFO'}}}",
            "log_dictconfig",
            {"loggers": {"theirs": {"level": "INFO"}}},
        ),
    ],
)
def test_values(command, text, name, expected):
    assert getattr(command.write(text).config(), name) == expected
    (command.folder / "pyproject.toml").unlink()
    command.write(text, "other.toml")
    assert getattr(command.config("--config", "other.toml"), name) == expected
    assert getattr(command.config(env={"GRANIAN_CONFIG": "other.toml"}), name) == expected


def test_precedence(command):
    """Command line, own variable, variable of others, file, default."""
    command.write("port = 5\nworkers = 2")
    everything = {"GRANIAN_PORT": "3", "PORT": "4", "GRANIAN_WORKERS": "3", "WEB_CONCURRENCY": "4"}
    made = command.config("--port", "2", "--workers", "5", env=everything)
    assert (made.port, made.workers) == (2, 5)
    made = command.config(env=everything)
    assert (made.port, made.workers) == (3, 3)
    made = command.config(env={"PORT": "4", "WEB_CONCURRENCY": "4"})
    assert (made.port, made.workers) == (4, 4)
    made = command.config(env={"PORT": "", "WEB_CONCURRENCY": ""})
    assert (made.port, made.workers) == (5, 2)
    (command.folder / "pyproject.toml").unlink()
    made = command.config()
    assert (made.port, made.workers) == (8000, 1)


def test_the_port_of_others_adds_no_address(command):
    assert command.config("--bind", "127.0.0.1:1", env={"PORT": "4"}).port == 8000
    assert command.config("--bind", "127.0.0.1:1", env={"GRANIAN_PORT": "4"}).port == 4


def test_the_port_of_others_says_where_it_listens(command, caplog):
    caplog.set_level("INFO", "_granian")
    command.config(env={"PORT": "4"})
    assert "--host 0.0.0.0" in caplog.text
    caplog.clear()
    command.config("--host", "0.0.0.0", env={"PORT": "4"})
    command.config(env={"GRANIAN_PORT": "4"})
    assert caplog.text == ""


def test_the_application_of_the_file(command):
    command.write('app = "theirs:app"')
    assert command().exit_code == 0
    assert command.made.target == "theirs:app"
    assert command.config().target == "main:app"


def test_no_file_and_no_table(command):
    assert command.config() == Config.from_kwargs(target="main:app")
    (command.folder / "pyproject.toml").write_text("[tool.other]\nport = 1\n")
    assert command.config() == Config.from_kwargs(target="main:app")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prt = 1", "pyproject.toml: there is no option 'prt'. Did you mean 'port'?"),
        ("log-access = true", "pyproject.toml: there is no option 'log-access'. Here it is 'access-log'."),
        ("limit-concurrency = 1", "there is no option 'limit-concurrency'. Here it is 'backpressure'."),
        ("target = 'main:app'", "there is no option 'target'."),
        ("app = 1", "pyproject.toml: app: 1 is no text such as 'module:attribute'"),
        ("port = '1'", "pyproject.toml: port: '1' is not a whole number"),
        ("port = true", "pyproject.toml: port: True is not a whole number"),
        ("port = 1.5", "pyproject.toml: port: 1.5 is not a whole number"),
        ("port = 65536", "pyproject.toml: port: 65536 is not in the range"),
        ("workers = 0", "pyproject.toml: workers: 0 is not in the range"),
        ("ssl-keyfile-password = 123", "pyproject.toml: ssl-keyfile-password: the value is not a text"),
        ("reload = 'yes'", "pyproject.toml: reload: 'yes' is not true or false"),
        ("bind = [1]", "pyproject.toml: bind: 1 is not a text"),
        ("interface = 'cgi'", "pyproject.toml: interface: 'cgi' is not one of"),
        ("drain-timeout = '1x'", "pyproject.toml: drain-timeout: '1x' is not a valid duration"),
        ("working-dir = 'missing'", "pyproject.toml: working-dir: Directory 'missing' does not exist"),
        ("log-config = 'missing'", "pyproject.toml: log-config: File 'missing' does not exist"),
        ("ssl-client-verify = true", "pyproject.toml: ssl-client-verify: there are no authorities"),
        ("port = ", "pyproject.toml is no TOML: "),
    ],
)
def test_faults(command, text, message):
    assert message in command.write(text).refusal()


def test_faults_of_the_file_itself(command):
    assert command.refusal("--config", "missing.toml") == "Error: missing.toml: there is no such file"
    assert "a directory" in command.refusal("--config", ".").lower()
    (command.folder / "pyproject.toml").write_text("[tool.other]\n")
    assert "there is no table [tool.granian]" in command.refusal("--config", "pyproject.toml")
    (command.folder / "pyproject.toml").write_text("[tool]\ngranian = 1\n")
    assert "there is no table [tool.granian]" in command.refusal()
    (command.folder / "bytes.toml").write_bytes(b"\xff")
    assert "bytes.toml is no TOML" in command.refusal("--config", "bytes.toml")


@pytest.mark.parametrize("variable", ["GRANIAN_PORT", "PORT"])
def test_faults_of_variables(command, variable):
    assert command.refusal(env={variable: "x"}) == f"Error: {variable}: 'x' is not a valid integer range."


def test_every_option_has_a_type_in_files():
    for _, option, default in [*options_of(Config), *protocol_options()]:
        schema = schema_of(option)
        assert "anyOf" in schema if option.is_multiple else "type" in schema
        if default not in (None, ()):
            assert fault_of(option, default) is None, option.flag
        assert fault_of(option, object()) is not None


def test_the_schema_takes_what_the_server_takes():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[2] / "docs" / "granian.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = {"app": "main:app", "port": 1, "workers": "auto", "bind": ["a:1"], "drain-timeout": "1m", "ws": False}
    assert list(validator.iter_errors(good)) == []
    for key, value in {"prt": 1, "port": "1", "workers": 0, "bind": [1], "interface": "cgi", "ws": "no"}.items():
        assert list(validator.iter_errors({key: value})), key


def test_printed(command):
    command.write('workers = 3\nssl-ciphers = ["a"]')
    result = command("main:app", "--print-config", "--port", "1", env={"GRANIAN_HOST": "::1", "GRANIAN_NONSENSE": "1"})
    assert result.exit_code == 0
    assert command.made is None
    lines = result.output.splitlines()
    for line in (
        'app = "main:app"  # APP',
        'host = "::1"  # GRANIAN_HOST',
        "port = 1  # --port",
        "workers = 3  # pyproject.toml: workers",
        'ssl-ciphers = ["a"]  # pyproject.toml: ssl-ciphers',
        "backpressure = 341  # default",
        "drain-timeout = 30  # default",
        "log = true  # default",
        "http1-keep-alive = true  # default",
        "# uds is not set",
    ):
        assert line in lines
    assert len([line for line in lines if " = " in line or "is not set" in line]) == len(cli.OPTIONS) + 1


def test_printed_is_a_file(command):
    given = [
        "--host",
        'a"b\\c\té',
        "--uds-permissions",
        "660",
        "--no-ws",
        "--bind",
        "x:1",
        "--bind",
        "y:2",
        "--drain-timeout",
        "1m",
    ]
    (command.folder / "log.json").write_text('{"loggers": {"their.s": {"level": "INFO", "handlers": []}}}')
    given += ["--log-config", "log.json", "--working-dir", ".", "--http1-buffer-size", "9000"]
    expected = command.config(*given)
    # Computed values are printed as well.
    expected = Config.from_kwargs(**vars(expected) | {"backpressure": 1024})
    command.write(command("main:app", *given, "--print-config").output, "printed.toml")
    assert command.config("--config", "printed.toml") == expected


def test_printed_secrets(command):
    for name in ("cert", "key"):
        (command.folder / name).touch()
    env = {"GRANIAN_SSL_KEYFILE_PASSWORD": "very secret"}
    output = command("--print-config", env=env).output
    assert "very secret" not in output
    assert 'ssl-keyfile-password = "***"  # GRANIAN_SSL_KEYFILE_PASSWORD' in output
    assert output.startswith("# app is not set\n")


def test_printed_faults(command):
    assert command.refusal("--print-config", "--ssl-client-verify").startswith("[ERROR] --ssl-client-verify: ")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an application, for the server itself."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GRANIAN_")]:
        monkeypatch.delenv(name)
    (tmp_path / "checked.py").write_text("print('imported')\nasync def app(scope, receive, send): pass\n")
    return tmp_path


def run(*arguments):
    result = CliRunner().invoke(cli.cli, arguments)
    return result.exit_code, result.output


def test_checked(folder):
    assert run("--check-config", "checked:app") == (0, "The configuration is valid.\n")
    assert run("--check-config") == (0, "The configuration is valid.\n")
    code, output = run("--check-config", "--ssl-client-verify", "checked:app")
    assert (code, output.count("\n")) == (1, 1)
    assert "[ERROR] --ssl-client-verify: there are no authorities" in output
    assert "[ERROR] --bind: '8000' is no address to listen on" in run("--check-config", "--bind", "8000")[1]
    code, output = run("--check-config", "--preload", "--reload")
    assert (code, output.count("\n")) == (1, 1)
    assert "[ERROR] --preload: what is loaded once cannot be reloaded" in output
    code, output = run("--check-config", "--loop", "winloop")
    assert (code, output.count("\n")) == (1, 1)
    assert "'winloop' implementation not available" in output


def test_checked_with_the_application(folder):
    code, output = run("--check-app", "checked:app")
    assert (code, output) == (0, "imported\nThe configuration is valid.\n")
    assert run("--check-app")[0] == 2
    for arguments, reason in (
        (["checked:ap"], "has no attribute 'ap'. Did you mean 'checked:app'?"),
        (["--interface", "wsgi", "checked:app"], "speaks ASGI and not WSGI: use --interface asgi"),
    ):
        code, output = run("--check-app", *arguments)
        assert code == 1
        assert reason in output


def test_refused_files_are_configuration_errors(folder):
    (folder / "a.toml").write_text("prt = 1")
    with pytest.raises(ConfigurationError) as caught:
        read_config("a.toml")
    assert caught.value.option == "config"


COMPLETED = {
    "bash": ({"COMP_WORDS": "granian --work", "COMP_CWORD": "1"}, "plain,--workers"),
    "zsh": ({"COMP_WORDS": "granian --work", "COMP_CWORD": "1"}, "plain\n--workers\nWorker processes"),
    "fish": ({"COMP_WORDS": "granian --work", "COMP_CWORD": "--work"}, "plain,--workers\tWorker processes"),
}


@pytest.mark.parametrize("shell", COMPLETED)
def test_shell_completion(shell, folder):
    (folder / "pyproject.toml").write_text("[tool.granian]\nprt = 1\n")
    variables, expected = COMPLETED[shell]
    asked = {"_GRANIAN_COMPLETE": f"{shell}_complete", **variables}
    assert expected in CliRunner().invoke(cli.cli, prog_name="granian", env=asked).output
    values = asked | {"COMP_WORDS": "granian --interface w", "COMP_CWORD": "w" if shell == "fish" else "2"}
    assert "wsgi" in CliRunner().invoke(cli.cli, prog_name="granian", env=values).output
    source = CliRunner().invoke(cli.cli, prog_name="granian", env={"_GRANIAN_COMPLETE": f"{shell}_source"})
    assert f"_GRANIAN_COMPLETE={shell}_complete" in source.output
