"""The contract with users of granian 2.8: the table of its options, and its public names.

Each option is looked at in every place that can give it: flag, variable, configuration file, constructor. Its effect
has a test of its own, which the table names.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from granian import Granian, cli
from granian.config import Config
from granian.http import HTTP1Settings, HTTP2Settings

TESTS = Path(__file__).parent.parent
# Flag; the variable without its prefix, if it is not made from the flag; the name in the constructor; a value, and what
# it becomes; texts that are refused; the default; the test of the effect (`NAME` of `test_NAME.py`), or `idle` for
# options without effect that say so.
TABLE = """
--host || address | ::1 '::1' || '127.0.0.1' | scope
--port || port | 1 1 | -1 65536 | 8000 | start
--uds || uds | /a PATH || None | scope
--uds-permissions || uds_permissions | 660 0o660 | rw 888 | None | start
--interface || interface | WSGI 'wsgi' | cgi | 'auto' | interfaces
--http || http | 2 '2' | 3 | 'auto' | http2_connection
--ws | WEBSOCKETS | websockets | 0 False | maybe | True | websocket_asgi
--workers || workers | 2 2 | 0 | 1 | start
--blocking-threads || blocking_threads | 2 2 | 0 | None | wsgi_threads
--blocking-threads-idle-timeout || blocking_threads_idle_timeout | 1m 60 | 4 601 | 30 | wsgi_threads
--runtime-threads || runtime_threads | 2 2 | 0 | 1 | placement
--runtime-blocking-threads || runtime_blocking_threads | 2 2 | 0 | None | idle
--runtime-mode || runtime_mode | mt 'mt' | both | 'auto' | placement
--loop || loop | uvloop 'uvloop' | custom | 'auto' | awaitables
--task-impl || task_impl | rust 'rust' | c | 'asyncio' | idle
--backlog || backlog | 128 128 | 127 | 1024 | sockets
--backpressure || backpressure | 2 2 | 0 | None | backpressure
--http1-buffer-size || max_buffer_size | 8192 8192 | 8191 | 417792 | http1_connection
--http1-header-read-timeout || header_read_timeout | 60000 60000 | 0 60001 | 30000 | http1_connection
--http1-keep-alive || keep_alive | no False | maybe | True | http1_connection
--http1-pipeline-flush || pipeline_flush | yes True | maybe | False | idle
--http2-adaptive-window || adaptive_window | on True | maybe | False | http2_connection
--http2-initial-connection-window-size || initial_connection_window_size | 1024 1024 | 1023 | 1048576 | http2_connection
--http2-initial-stream-window-size || initial_stream_window_size | 1024 1024 | 1023 | 1048576 | http2_connection
--http2-keep-alive-interval || keep_alive_interval | 60000 60000 | 0 60001 | None | http2_connection
--http2-keep-alive-timeout || keep_alive_timeout | 1m 60 | 0 | 20 | http2_connection
--http2-max-concurrent-streams || max_concurrent_streams | 10 10 | 9 | 200 | http2_connection
--http2-max-frame-size || max_frame_size | 16777215 16777215 | 16383 16777216 | 16384 | http2_connection
--http2-max-headers-size || max_headers_size | 1 1 | 0 | 65536 | http2_connection
--http2-max-send-buffer-size || max_send_buffer_size | 1024 1024 | 1023 | 409600 | http2_connection
--log | LOG_ENABLED | log_enabled | f False | maybe | True | start
--log-level || log_level | warn 'warn' | loud | 'info' | log
--log-config || log_dictconfig | log.json DICT | none.json | None | start
--access-log | LOG_ACCESS_ENABLED | log_access | t True | maybe | False | access_log
--access-log-fmt | LOG_ACCESS_FMT | log_access_format | x 'x' || None | access_log
--ssl-certificate || ssl_cert | cert FILE | none.pem | None | tls
--ssl-keyfile || ssl_key | key FILE | none.pem | None | tls
--ssl-keyfile-password || ssl_key_password | x 'x' || None | tls_start
--ssl-protocol-min || ssl_protocol_min | tls1.2 'tls1.2' | tls1.1 | 'tls1.3' | tls
--ssl-ca || ssl_ca | cert FILE | none.pem | None | tls_clients
--ssl-crl || ssl_crl | cert FILES | none.pem | () | tls_clients
--ssl-client-verify || ssl_client_verify | y True | maybe | False | tls_clients
--url-path-prefix || url_path_prefix | /a '/a' || None | scope
--respawn-failed-workers || respawn_failed_workers | n False | maybe | True | replace
--respawn-interval || respawn_interval | 0.5 0.5 | soon | 3.5 | idle
--rss-sample-interval || rss_sample_interval | 5m 300 | 0 301 | 30 | replace
--rss-samples || rss_samples | 2 2 | 0 | 1 | crew
--workers-lifetime || workers_lifetime | 1h 3600 | 59 1x | None | replace
--workers-max-rss || workers_max_rss | 1 1 | 0 | None | replace
--workers-kill-timeout || workers_kill_timeout | 30m 1800 | 0 1801 | None | stop
--factory || factory | true True | maybe | False | targets
--working-dir || working_dir | folder FILE | none | None | targets
--env-files || env_files | cert FILES | none | () | start
--static-path-route || static_path_route | /a ('/a',) || () | static
--static-path-mount || static_path_mount | folder FILES | none cert | () | static
--static-path-dir-to-file || static_path_dir_to_file | a 'a' || None | static
--static-path-expires || static_path_expires | 1d 86400 | 1x | 86400 | static
--metrics | METRICS_ENABLED | metrics_enabled | t True | maybe | False | metrics
--metrics-scrape-interval || metrics_scrape_interval | 1m 60 | 0 61 | 15 | metrics
--metrics-address || metrics_address | ::1 '::1' || '127.0.0.1' | metrics
--metrics-port || metrics_port | 1 1 || 9090 | metrics
--reload || reload | 1 True | maybe | False | reload
--reload-paths || reload_paths | folder FILES | none | () | reload
--reload-ignore-dirs || reload_ignore_dirs | a ('a',) || () | reload
--reload-ignore-patterns || reload_ignore_patterns | a ('a',) || () | reload
--reload-ignore-paths || reload_ignore_paths | folder FILES || () | reload
--reload-tick || reload_tick | 5000 5000 | 49 5001 | 50 | reload
--reload-ignore-worker-failure || reload_ignore_worker_failure | 1 True | maybe | False | idle
--process-name || process_name | x 'x' || None | start
--pid-file || pid_file | pid FILE | folder | None | start
"""


@dataclass(frozen=True)
class Row:
    """One option."""

    flag: str
    variable: str
    keyword: str
    given: str
    becomes: str
    refused: list[str]
    default: Any
    effect: str

    @classmethod
    def parse(cls, line: str) -> Row:
        flag, variable, keyword, example, refused, default, effect = (cell.strip() for cell in line.split("|"))
        given, _, becomes = example.partition(" ")
        variable = f"GRANIAN_{variable or flag.removeprefix('--').replace('-', '_').upper()}"
        return cls(flag, variable, keyword, given, becomes, refused.split(), eval(default), effect)

    def __str__(self) -> str:
        return self.flag

    @property
    def key(self) -> str:
        return self.flag.removeprefix("--")

    def expected(self, folder: Path) -> Any:
        """What the example's value becomes."""
        match self.becomes:
            case "PATH":
                return Path(self.given)
            case "FILE":
                return folder / self.given
            case "FILES":
                return (folder / self.given,)
            case "DICT":
                return {}
        return eval(self.becomes)

    def of(self, config: Config) -> Any:
        """The value in a configuration."""
        group = next((name for name in ("http1", "http2") if self.flag.startswith(f"--{name}-")), None)
        return getattr(config if group is None else getattr(config, f"{group}_settings"), self.keyword)


ROWS = [Row.parse(line) for line in TABLE.strip().splitlines()]
PARAMETERS = {item.opts[0]: item for item in cli.cli.params if isinstance(item, click.Option)}
MADE: list[Config] = []


class Remembering:
    """In the place of the server."""

    def __init__(self, target: str, **options: Any) -> None:
        # Rules about several options are no matter of this test.
        fields = Config.__dataclass_fields__
        convert = {
            name: fields[name].metadata["option"].convert for name in options if "option" in fields[name].metadata
        }
        given = {name: value for name, value in options.items() if value is not None}
        MADE.append(Config(target=target, **{name: convert.get(name, keep)(value) for name, value in given.items()}))

    def serve(self) -> None:
        pass


def keep(value: Any) -> Any:
    return value


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("granian.cli.Server", Remembering)
    monkeypatch.setattr("granian.cli.patch_pypath", lambda folder: None)
    for name in ("cert", "key"):
        (tmp_path / name).touch()
    (tmp_path / "log.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    return tmp_path


def config(*arguments: str, env: dict[str, str] | None = None) -> Config:
    result = CliRunner().invoke(cli.cli, ["main:app", *arguments], env=env)
    assert result.exit_code == 0, result.output
    return MADE.pop()


def refusal(*arguments: str, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(cli.cli, ["main:app", *arguments], env=env)
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    return result.output


def on_command_line(row: Row, value: str) -> list[str]:
    if not PARAMETERS[row.flag].is_flag:
        return [row.flag, value]
    is_on = value in ("1", "on", "t", "true", "y", "yes")
    return [row.flag if is_on else f"--no-{row.key}"]


def in_file(row: Row, value: str) -> str:
    """A line of a configuration file."""
    if PARAMETERS[row.flag].is_flag:
        return f"{row.key} = {'true' if value in ('1', 'on', 't', 'true', 'y', 'yes') else 'false'}"
    is_number = re.fullmatch(r"-?\d+(\.\d+)?", value) is not None and row.flag not in ("--http", "--uds-permissions")
    return f"{row.key} = {value if is_number else json.dumps(value)}"


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_flag_variable_key_and_keyword(row, folder):
    assert row.of(config()) == row.default
    expected = row.expected(folder)
    assert row.of(config(*on_command_line(row, row.given))) == expected
    assert row.of(config(env={row.variable: row.given})) == expected
    (folder / "pyproject.toml").write_text(f"[tool.granian]\n{in_file(row, row.given)}\n")
    assert row.of(config()) == expected
    if row.flag.startswith("--http1-"):
        assert getattr(HTTP1Settings(**{row.keyword: expected}), row.keyword) == expected
    elif row.flag.startswith("--http2-"):
        assert getattr(HTTP2Settings(**{row.keyword: expected}), row.keyword) == expected
    else:
        assert row.keyword in inspect.signature(Granian).parameters


@pytest.mark.parametrize("row", [row for row in ROWS if row.refused], ids=str)
def test_values_that_are_refused(row, folder):
    for value in row.refused:
        assert row.variable in refusal(env={row.variable: value})
        if not PARAMETERS[row.flag].is_flag:
            assert row.flag in refusal(row.flag, value)
            (folder / "a.toml").write_text(in_file(row, value))
            assert f"a.toml: {row.key}" in refusal("--config", "a.toml")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_effect(row, folder, caplog):
    """It is tested, or the option says that it has none."""
    if row.effect == "idle":
        caplog.set_level("INFO", "_granian")
        group = {"http1_settings": HTTP1Settings(pipeline_flush=True)} if row.flag.startswith("--http1-") else None
        Config.from_kwargs(target="main:app", **(group or {row.keyword: row.expected(folder)}))
        assert f"{'HTTP1Settings.' if group else ''}{row.keyword} is without effect" in caplog.text
    elif row.effect:
        texts = [file.read_text() for file in TESTS.glob(f"*/test_{row.effect}.py")]
        # As it is given, not as a part of other names.
        named = re.compile(rf"--(no-)?{row.key}(?![\w-])|(?<!\w){row.keyword}=|\"{row.keyword}\": ")
        assert any(map(named.search, texts)), f"test_{row.effect}.py does not name {row.flag}"


def test_the_table_has_every_option_of_granian_2():
    settings = [f"{name}_settings" for name in ("http1", "http2")]
    names = [name for name, field in Config.__dataclass_fields__.items() if not field.kw_only and name not in settings]
    listed = {row.keyword for row in ROWS if not row.flag.startswith(("--http1-", "--http2-"))}
    assert listed | {"target", "reload_filter"} == set(names)


NAMES = """
granian: Granian loops __version__
granian.asgi: LifespanProtocol
granian.cli: cli entrypoint option Duration OctalIntType EnumType Server _pretty_print_default
granian.constants: StrEnum Interfaces HTTPModes RuntimeModes Loops TaskImpl SSLProtocols
granian.errors: FatalError ConfigurationError PidFileError
granian.http: HTTP1Settings HTTP2Settings
granian.log: LogLevels log_levels_map LOGGING_CONFIG DEFAULT_ACCESSLOG_FMT logger access_logger configure_logging \
log_request_builder
granian.net: SocketSpec UnixSocketSpec SocketHolder
granian.rsgi: Scope Headers HTTPProtocol WebsocketProtocol ProtocolError ProtocolClosed WebsocketMessageType \
WebsocketMessage
granian.server: Server MPServer MTServer
granian.server.common: AbstractServer AbstractWorker
granian.server.embed: Server AsyncWorker
granian.server.mp: WorkerProcess
granian.server.mt: WorkerThread
granian.utils.proxies: wrap_asgi_with_proxy_headers wrap_wsgi_with_proxy_headers
granian._granian: BUILD_GIL ProcInfoCollector SocketHolder __version__
granian._imports: anyio dotenv setproctitle watchfiles
granian._internal: patch_pypath get_import_components prepare_import load_module load_target load_env build_env_loader
granian._loops: loops Registry BuilderRegistry
""".replace("\\\n", "")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (line.partition(": ")[0], name)
        for line in NAMES.strip().splitlines()
        for name in line.partition(": ")[2].split()
    ],
)
def test_public_names(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_methods():
    for name in ("serve", "on_startup", "on_reload", "on_shutdown"):
        assert callable(getattr(Granian, name))
    assert list(inspect.signature(Granian.serve).parameters) == ["self", "spawn_target", "target_loader", "wrap_loader"]
    assert (Path(importlib.import_module("granian").__file__).parent / "py.typed").exists()
