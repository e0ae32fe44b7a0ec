"""`granian.cli`: types, names, defaults, and what a run ends with."""

import enum
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from e2e.server import bare

from granian import __version__, cli
from granian.command import EXAMPLES
from granian.config import Config
from granian.config.sections import sections
from granian.constants import HTTPModes, Interfaces
from granian.errors import ConfigurationError, FatalError, PidFileError
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import logger

COMMAND = cli.cli
OPTIONS = {option.name: option for option in COMMAND.params if isinstance(option, click.Option)}


class Run:
    """The command with a server that only remembers what it was made with."""

    def __init__(self, monkeypatch, tmp_path):
        self.made = None
        self.error = None
        self.folder = tmp_path
        monkeypatch.setattr("granian.cli.Server", self._make)
        monkeypatch.setattr("granian.cli.patch_pypath", lambda folder: None)
        monkeypatch.chdir(tmp_path)

    def __call__(self, *arguments, env=None, target="main:app"):
        self.result = CliRunner().invoke(COMMAND, [*arguments, *([target] if target else [])], env=env)
        return self.result

    def options(self, *arguments, env=None):
        """The config that the arguments make."""
        result = self(*arguments, env=env)
        assert (result.exit_code, result.output) == (0, ""), result.output
        return self.made

    def refusal(self, *arguments, env=None):
        """The message of a usage error."""
        result = self(*arguments, env=env)
        assert result.exit_code == 2
        return result.output

    def _make(self, target, **options):
        self.made = Config.from_kwargs(target=target, **options)
        return self

    def serve(self):
        if self.error is not None:
            raise self.error


@pytest.fixture
def run(monkeypatch, tmp_path):
    return Run(monkeypatch, tmp_path)


def test_defaults_are_the_constructors(run):
    assert run.options() == Config.from_kwargs(target="main:app")


def test_version(run):
    assert run("--version", target=None).output == f"granian {__version__}\n"


@pytest.mark.parametrize("value", ["1", "2.8.7"])
def test_variables_that_are_not_options(run, value):
    run.options(env={"GRANIAN_VERSION": value, "GRANIAN_APP": value})


def test_help(run):
    text = " ".join(run("--help", target=None).output.split())
    for part in (
        "APP",
        "[env var: GRANIAN_WEBSOCKETS; default: (enabled)]",
        "[env var: GRANIAN_HTTP; default: (auto)]",
        "[env var: GRANIAN_BACKPRESSURE; default: (backlog/workers); x>=1]",
        "default: (/static)",
        "default: (Working directory)",
        "--ws / --no-ws",
    ):
        assert part in text
    assert "--threads" not in text
    assert "--opt" not in text


def test_the_help_has_sections(run):
    text = run("--help", target=None).output
    headings = [line.removesuffix(":") for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Examples", *(section.title for section in sections()), "Others"]
    shown = {line.split()[0] for line in text.replace("-h, --help", "--help").splitlines() if line.startswith("  --")}
    hidden = {"--threads", "--opt", "--websockets"}
    assert shown == {option.opts[0] for option in OPTIONS.values()} - hidden | {"--help"}
    assert len({option.name for option in OPTIONS.values()}) == len(OPTIONS)


def test_short_name_of_the_help(run):
    assert run("-h", target=None).output == run("--help", target=None).output


def test_examples_of_the_help_are_command_lines(run, tmp_path):
    for name in ("chain.pem", "key.pem"):
        (tmp_path / name).touch()
    for line, _ in EXAMPLES:
        command = line[line.index("granian") :].split()[1:]
        result = CliRunner().invoke(COMMAND, command, env=dict([line.split()[0].split("=")]) if "=" in line else {})
        assert not result.output.startswith("Error: "), result.output


def test_the_help_says_when_workers_are_killed(run):
    text = " ".join(run("--help", target=None).output.split())
    assert "GRANIAN_WORKERS_KILL_TIMEOUT; default: (a second after --drain-timeout)" in text
    assert "--pid-file FILE" in text


def test_a_target_is_needed(run):
    assert run(target=None).exit_code == 2


ENVIRONMENT = {
    "ws": "WEBSOCKETS",
    "log": "LOG_ENABLED",
    "access-log": "LOG_ACCESS_ENABLED",
    "access-log-fmt": "LOG_ACCESS_FMT",
    "metrics": "METRICS_ENABLED",
}


SHARED = {"port": "PORT", "workers": "WEB_CONCURRENCY", "forwarded-allow-ips": "FORWARDED_ALLOW_IPS"}


def test_environment_names():
    for option in OPTIONS.values():
        flag = option.opts[0].removeprefix("--")
        if flag in ("version", "threads", "opt", "websockets", "check-config", "check-app", "print-config"):
            assert option.envvar is None
        elif flag in SHARED:
            assert option.envvar == (f"GRANIAN_{flag.replace('-', '_').upper()}", SHARED[flag])
        else:
            assert option.envvar == f"GRANIAN_{ENVIRONMENT.get(flag, flag.replace('-', '_').upper())}"


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("HOST", "::1", "address", "::1"),
        ("PORT", "1", "port", 1),
        ("INTERFACE", "WSGI", "interface", Interfaces.WSGI),
        ("HTTP", "1", "http", HTTPModes.http1),
        ("WEBSOCKETS", "off", "websockets", False),
        ("LOG_ENABLED", "no", "log_enabled", False),
        ("LOG_ACCESS_ENABLED", "1", "log_access", True),
        ("LOG_ACCESS_FMT", "%(addr)s", "log_access_format", "%(addr)s"),
        ("WORKERS_LIFETIME", "1h", "workers_lifetime", 3600),
        ("RELOAD_IGNORE_DIRS", "a b", "reload_ignore_dirs", ("a", "b")),
        ("RELOAD_IGNORE_PATHS", "/a:/b", "reload_ignore_paths", (Path("/a"), Path("/b"))),
        ("BIND", "a:1 unix:b", "bind", ("a:1", "unix:b")),
        ("HTTP1_BUFFER_SIZE", "9000", "http1_settings", HTTP1Settings(max_buffer_size=9000)),
        ("RESPAWN_FAILED_WORKERS", "f", "respawn_failed_workers", False),
    ],
)
def test_environment(run, variable, value, name, expected):
    assert getattr(run.options(env={f"GRANIAN_{variable}": value}), name) == expected


def test_the_command_line_wins(run):
    assert run.options("--port", "2", env={"GRANIAN_PORT": "1"}).port == 2


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ("--host localhost", "address", "localhost"),
        ("--uds a.sock", "uds", "a.sock"),
        ("--uds @name", "uds", Path("@name")),
        ("--uds-permissions 660", "uds_permissions", 0o660),
        ("--uds-permissions 0660", "uds_permissions", 0o660),
        ("--uds-permissions 0o660", "uds_permissions", 0o660),
        ("--uds-permissions 432", "uds_permissions", 0o432),
        ("--uds-permissions 1024", "uds_permissions", 1024),
        ("--no-ws", "websockets", False),
        ("--no-websockets", "websockets", False),
        ("--no-ws --websockets", "websockets", True),
        ("--loop UVLOOP", "loop", "uvloop"),
        ("--blocking-threads-idle-timeout 1m", "blocking_threads_idle_timeout", 60),
        ("--no-http1-keep-alive", "http1_settings", HTTP1Settings(keep_alive=False)),
        ("--http2-keep-alive-interval 5", "http2_settings", HTTP2Settings(keep_alive_interval=5)),
        ("--http2-keep-alive-timeout 1m", "http2_settings", HTTP2Settings(keep_alive_timeout=60)),
        ("--respawn-interval 0.5", "respawn_interval", 0.5),
        ("--no-respawn-failed-workers", "respawn_failed_workers", False),
        ("--reload-ignore-dirs a --reload-ignore-dirs b", "reload_ignore_dirs", ("a", "b")),
        ("--threads 4", "runtime_threads", 4),
        ("--opt", "runtime_threads", 1),
        ("--no-opt", "runtime_threads", 1),
        ("--fd 3", "fd", 3),
        ("--drain-timeout 0", "drain_timeout", 0),
        ("--background-timeout 5s", "background_timeout", 5),
        ("--working-dir .", "working_dir", "."),
        ("--url-path-prefix /api", "url_path_prefix", "/api"),
    ],
)
def test_arguments(run, arguments, name, expected):
    value = getattr(run.options(*arguments.split()), name)
    if isinstance(value, Path) and isinstance(expected, str):
        expected = run.folder / expected
    assert value == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--interface cgi", "'cgi' is not one of"),
        ("--port x", "'x' is not a valid integer"),
        ("--workers 0", "0 is not in the range x>=1"),
        ("--backlog 127", "127 is not in the range x>=128"),
        ("--http2-max-frame-size 16383", "not in the range 16384<=x<=16777215"),
        ("--uds-permissions 888", "invalid literal for int() with base 8: '888'"),
        ("--uds-permissions rw", "invalid literal for int() with base 10: 'rw'"),
        ("--workers-lifetime 59", "'59' is less than the minimum allowed value of 60 seconds"),
        ("--workers-kill-timeout 1h", "'1h' is greater than the maximum allowed value of 1800 seconds"),
        ("--workers-lifetime 1x", "'1x' is not a valid duration"),
        ("--log-config missing.json", "does not exist"),
        ("--working-dir missing", "does not exist"),
        ("--nonsense", "No such option"),
    ],
)
def test_usage_errors(run, arguments, message):
    assert message in " ".join(run.refusal(*arguments.split()).split())


def test_the_empty_text_is_no_duration(run):
    assert "'' is not a valid duration" in run.refusal("--workers-lifetime", "")


def test_logging_configuration(run):
    (run.folder / "log.json").write_text(json.dumps({"loggers": {}}))
    assert run.options("--log-config", "log.json").log_dictconfig == {"loggers": {}}


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_logging_configuration_that_is_none(run, text):
    (run.folder / "log.json").write_bytes(text.encode(errors="surrogateescape"))
    result = run("--log-config", "log.json")
    assert result.exit_code == 1
    assert result.output.startswith("Unable to parse provided logging config. (--log-config log.json: ")
    assert len(result.output.splitlines()) == 1


def test_paths_of_the_application_come_first(run, monkeypatch):
    seen = []
    monkeypatch.setattr("granian.cli.patch_pypath", seen.append)
    run.options()
    run.options("--working-dir", ".")
    assert seen == [None, Path(".")]


@pytest.mark.parametrize("arguments", ["--ssl-client-verify", "--static-path-precompressed", "--port 65536"])
def test_options_that_cannot_be_used(run, arguments, capfd):
    result = run(*arguments.split())
    assert result.exit_code == (2 if "port" in arguments else 1)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigurationError("address", "no such host"), "[ERROR] --host: no such host"),
        (ConfigurationError("log_access_format", "bad"), "[ERROR] --access-log-fmt: bad"),
        (ConfigurationError("spawn_target", "bad"), "[ERROR] spawn_target: bad"),
        (PidFileError("The PID file exists"), "[ERROR] The PID file exists"),
        (ConfigurationError("address"), ""),
        (FatalError("gil"), ""),
    ],
)
def test_errors_are_one_line(run, error, line):
    logger.handlers = []
    run.error = error
    result = run()
    assert result.exit_code == 1
    assert bare(result.output).strip() == line


def test_errors_are_shown_without_a_log(run):
    logger.handlers = []
    logger.setLevel(100)
    run.error = ConfigurationError("address", "no such host")
    assert bare(run("--no-log").output) == "[ERROR] --host: no such host\n"


def test_other_errors_are_not_hidden(run):
    run.error = ZeroDivisionError()
    assert isinstance(run().exception, ZeroDivisionError)


def test_entrypoint(monkeypatch, run):
    monkeypatch.setattr("sys.argv", ["granian", "main:app"])
    with pytest.raises(SystemExit) as caught:
        cli.entrypoint()
    assert caught.value.code == 0
    assert run.made.target == "main:app"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("1d", 86400), ("1h", 3600), ("1m", 60), ("1s", 1), ("1d2h3m4s", 93784), ("2h4s", 7204)],
)
def test_durations(text, seconds):
    assert cli.Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", " ", "s", "1S", "1s1m", "1.5s", "-1", "1h 1m", "\u0661", "1x"])
def test_texts_that_are_no_duration(text):
    with pytest.raises(click.BadParameter, match="is not a valid duration"):
        cli.Duration().convert(text, None, None)


def test_durations_that_are_numbers():
    assert cli.Duration(1, 2).convert(None, None, None) is None
    assert cli.Duration(1, 2).convert(2, None, None) == 2
    for value in (0, 3):
        with pytest.raises(click.BadParameter, match="allowed value of"):
            cli.Duration(1, 2).convert(value, None, None)


def test_types():
    class Colour(enum.Enum):
        RED = "red"

    assert cli.EnumType(Colour).convert("RED", None, None) is Colour.RED
    assert cli.EnumType(Colour).convert(Colour.RED, None, None) is Colour.RED
    assert cli.EnumType(Colour).convert(None, None, None) is None
    assert cli.OctalIntType().convert(5, None, None) == 5
    assert isinstance(cli.Duration(), click.IntRange)

    @click.command()
    @cli.option("--colour", type=cli.EnumType(Colour), envvar="COLOUR", default=Colour.RED)
    def command(colour):
        click.echo(colour.value)

    assert "COLOUR" in CliRunner().invoke(command, ["--help"]).output
    assert CliRunner().invoke(command, []).output == "red\n"


def test_the_end_of_the_process_collects_no_garbage():
    """No deadline bounds the interpreter's exit: on a busy machine it made a stop last 3 s longer."""
    program = "import atexit, gc, granian.cli as cli; atexit.register(lambda: print(gc.get_freeze_count())); "
    command = [sys.executable, "-c", program + "cli.entrypoint()", "--version"]
    assert int(subprocess.check_output(command, text=True).split()[-1]) > 10_000
