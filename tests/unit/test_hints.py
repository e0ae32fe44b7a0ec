"""Hints: options of other servers, variables with a slip, unknown keywords, options without effect."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from granian import Granian, cli, loops
from granian.config import Config, options_of
from granian.config.protocols import protocol_options
from granian.errors import ConfigurationError
from granian.hints import FOREIGN, unknown_variables
from granian.http import HTTP1Settings, HTTP2Settings

KNOWN = [*(option for _, option, _ in options_of(Config)), *(option for _, option, _ in protocol_options())]
VARIABLES = [option.environment for option in KNOWN]


def test_hints_name_options_that_there_are_and_no_own_ones():
    flags = {option.flag for option in KNOWN}
    assert [flag for flag in FOREIGN if flag in flags] == []
    named = [word.rstrip(",") for text in FOREIGN.values() for word in text.split() if word.startswith("--")]
    assert [flag for flag in named if flag not in {*flags, "--config"}] == []


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["-w", "4"], "No such option: -w (here: --workers)"),
        (["-b", ":8000"], "No such option: -b (here: --bind)"),
        (["--limit-concurrency=5"], "No such option: --limit-concurrency (here: --backpressure)"),
        (["--timeout-keep-alive", "5"], "(here: --keep-alive-timeout)"),
        (["--no-proxy-headers"], "(here: --forwarded-allow-ips, with the addresses of the proxies)"),
        (["--worker", "4"], "'--workers'"),
    ],
)
def test_options_of_other_servers(arguments, hint):
    result = CliRunner().invoke(cli.cli, ["main:app", *arguments])
    assert result.exit_code == 2
    assert hint in result.output


def test_unknown_variables(monkeypatch):
    for name in ("GRANIAN_WORKER", "GRANIAN_LIMIT_CONCURRENCY", "GRANIAN_NONSENSE_OF_MINE", "GRANIAN_VERSION"):
        monkeypatch.setenv(name, "1")
    for name in ("GRANIAN_PORT", "GRANIAN_HTTP1_BUFFER_SIZE", "GRANIAN_SERVICE_HOST", "GRANIAN_PORT_80_TCP_ADDR"):
        monkeypatch.setenv(name, "1")
    assert list(unknown_variables(VARIABLES)) == [
        "GRANIAN_LIMIT_CONCURRENCY is no option. Here it is --backpressure.",
        "GRANIAN_NONSENSE_OF_MINE is no option.",
        "GRANIAN_WORKER is no option. Here it is GRANIAN_WORKERS, perhaps.",
    ]


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("prt", "There is no option 'prt'. Did you mean 'port'?"),
        ("host", "There is no option 'host'. It is 'address' in Python code."),
        ("access_log", "There is no option 'access_log'. It is 'log_access' in Python code."),
        ("ssl_certfile", "There is no option 'ssl_certfile'. Here it is 'ssl_cert'."),
        ("limit_concurrency", "There is no option 'limit_concurrency'. Here it is 'backpressure'."),
        ("zzzzzz", "There is no option 'zzzzzz'."),
    ],
)
def test_unknown_keywords(keyword, message):
    with pytest.raises(TypeError) as caught:
        Granian("main:app", **{keyword: 1})
    assert str(caught.value) == message


def test_application_for_a_target():
    with pytest.raises(ConfigurationError, match="each worker imports the application: give it as 'module:attribute'"):
        Granian(lambda scope: None)


def test_errors_name_the_variable_that_was_given():
    for name, given in ({"GRANIAN_SSL_CLIENT_VERIFY": "1"}, "GRANIAN_SSL_CLIENT_VERIFY:"), ({}, "--ssl-client-verify:"):
        arguments = ["main:app", *([] if name else ["--ssl-client-verify"])]
        result = CliRunner().invoke(cli.cli, arguments, env=name)
        assert result.exit_code == 1
        assert given in result.output


def test_missing_extras_are_named(monkeypatch):
    monkeypatch.setattr(loops, "_items", {})
    for name in ("rloop", "uvloop"):
        with pytest.raises(ConfigurationError, match=rf"not available: pip install 'granian\[{name}\]'"):
            Granian("main:app", loop=name, interface="asgi").serve()


def remarks(caplog):
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return said


def test_options_without_effect_are_told(caplog):
    """By the name of Python code, if they differ from their defaults."""
    caplog.set_level("INFO", "_granian")
    options = {
        "runtime_blocking_threads": 2,
        "respawn_interval": 5,
        "http1_settings": HTTP1Settings(pipeline_flush=True),
    }
    Config.from_kwargs(target="main:app", runtime_threads=1, **options)
    said = remarks(caplog)
    assert [line.partition(" ")[0] for line in said] == [
        "runtime_blocking_threads",
        "respawn_interval",
        "HTTP1Settings.pipeline_flush",
    ]
    assert all("is without effect: " in line for line in said)


class Made:
    """In the place of the server."""

    def __init__(self, target, **options):
        Config.from_kwargs(target=target, **options)

    def serve(self): ...


def test_options_without_effect_are_told_by_the_name_that_was_given(caplog, monkeypatch, tmp_path):
    caplog.set_level("INFO", "_granian")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("granian.cli.Server", Made)
    (tmp_path / "pyproject.toml").write_text("[tool.granian]\nrespawn-interval = 4\n")
    result = CliRunner().invoke(cli.cli, ["main:app", "--runtime-threads", "2"], env={"GRANIAN_TASK_IMPL": "rust"})
    assert result.exit_code == 0, result.output
    assert remarks(caplog) == [
        "--runtime-threads is without effect: --runtime-mode is not mt",
        "GRANIAN_TASK_IMPL is without effect: tasks are asyncio's own",
        "pyproject.toml: respawn-interval is without effect: a worker is replaced once the new one is ready, "
        "after a crash at once",
    ]
    # Nothing is left of it.
    Config.from_kwargs(target="main:app", runtime_threads=2)
    assert remarks(caplog) == ["runtime_threads is without effect: runtime_mode is not mt"]
    Config.from_kwargs(target="main:app", runtime_threads=2, runtime_mode="mt")
    assert remarks(caplog) == []


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rss_samples": 2}, "rss_samples is without effect: workers_max_rss is not given"),
        ({"max_requests_jitter": 2}, "max_requests_jitter is without effect: max_requests is not given"),
        ({"log_access_format": "x"}, "log_access_format is without effect: log_access is not given"),
        ({"reload_tick": 60}, "reload_tick is without effect: reload is not given"),
        ({"ssl_ciphers": "x"}, "ssl_ciphers is without effect: ssl_cert is not given"),
        ({"static_path_route": "/a"}, "static_path_route is without effect: static_path_mount is not given"),
        ({"websockets": False, "ws_max_size": 9}, "ws_max_size is without effect: websockets is off"),
        ({"overload_target": 0.01}, "overload_target is without effect: overload is not given"),
        ({"uds_permissions": 0o660}, "uds_permissions is without effect: there is no Unix socket"),
        (
            {"http": "1", "http2_settings": HTTP2Settings(adaptive_window=True)},
            "HTTP2Settings.adaptive_window is without effect: HTTP/2 is off",
        ),
    ],
)
def test_options_that_need_another_one(caplog, options, line):
    Config.from_kwargs(target="main:app", **options)
    assert remarks(caplog) == [line]


def test_options_that_have_what_they_need(caplog):
    options = {"uds_permissions": 0o660, "bind": "unix:a", "max_requests": 5, "max_requests_jitter": 2}
    Config.from_kwargs(target="main:app", **options)
    assert remarks(caplog) == []
