"""`granian.config`: options that exclude each other, values made from options, what the core is told."""

import pickle
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from granian import _imports
from granian.config import Config, TlsOptions, WorkerOptions
from granian.config.http import Http1Options
from granian.config.websocket import WebSocketOptions
from granian.constants import Interfaces
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings, HTTP2Settings


def config(**options):
    return Config.from_kwargs(target="main:app", **options)


def refusal(**options):
    with pytest.raises(ConfigurationError) as caught:
        config(**options)
    return str(caught.value)


def test_threads_are_for_wsgi():
    assert refusal(interface="asgi", blocking_threads=2).startswith("blocking_threads: ")
    assert refusal(interface="rsgi", blocking_threads=2).startswith("blocking_threads: ")
    assert config(interface="asgi", blocking_threads=1).blocking_threads == 1
    assert config(interface="wsgi", blocking_threads=2).blocking_threads_for(Interfaces.WSGI) == 2
    assert config(blocking_threads=2).blocking_threads_for(Interfaces.WSGI) == 2


def test_threads_by_default():
    made = config(backpressure=100_000)
    assert made.blocking_threads_for(Interfaces.ASGI) == 1
    assert 1 <= config().blocking_threads_for(Interfaces.WSGI) <= 512
    assert config(backpressure=2).blocking_threads_for(Interfaces.WSGI) == 1


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({}, 1024),
        ({"workers": 4}, 256),
        ({"workers": 300, "backlog": 128}, 1),
        ({"backpressure": 7, "workers": 4}, 7),
    ],
)
def test_backpressure(options, value):
    assert config(**options).backpressure_effective == value


def test_drain_timeout():
    assert config().drain_timeout_effective == 30
    assert config(drain_timeout=0).drain_timeout_effective == 0


def test_drain_comes_before_the_kill():
    assert config(workers_kill_timeout=60).drain_timeout_effective == 59
    assert config(workers_kill_timeout=5).drain_timeout_effective == 4
    assert config(workers_kill_timeout=0.5).drain_timeout_effective == 0
    assert config(workers_kill_timeout=60, drain_timeout=2).drain_timeout_effective == 2


def test_drain_timeout_under_reload():
    pytest.importorskip("watchfiles")
    assert config(reload=True, workers_kill_timeout=60).drain_timeout_effective == 3
    assert config(reload=True, workers_kill_timeout=2).drain_timeout_effective == 1
    assert config(reload=True).drain_timeout_effective == 3
    assert config(reload=True, drain_timeout=9).drain_timeout_effective == 9


def test_memory_limit_in_bytes():
    assert config(workers_max_rss=2).workers_rss == 2 * 1024 * 1024
    assert config().workers_rss is None


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [
        ("setproctitle", {"process_name": "x"}, "granian[pname]"),
        ("dotenv", {"env_files": ["x"]}, "granian[dotenv]"),
        ("watchfiles", {"reload": True}, "granian[reload]"),
    ],
)
def test_extras_that_are_missing(monkeypatch, module, options, extra):
    monkeypatch.setattr(f"granian._imports.{module}", None)
    message = refusal(**options)
    assert message.startswith(tuple(options))
    assert extra in message


def test_access_log_format_is_checked():
    message = refusal(log_access=True, log_access_format="%(nonsense)s")
    assert "nonsense" in message


@pytest.mark.parametrize(
    ("given", "kept"), [("/api", "/api"), ("api", "/api"), ("/api/", "/api"), ("/a/b", "/a/b"), ("/", ""), ("", "")]
)
def test_path_prefix_has_a_slash_in_front_and_none_behind(given, kept):
    assert config(url_path_prefix=given).url_path_prefix == kept


@pytest.mark.parametrize("given", [1, b"/api"])
def test_path_prefix_is_a_text(given):
    assert refusal(url_path_prefix=given).startswith("url_path_prefix: ")


def worker_options(made, interface, state=None):
    return WorkerOptions.from_config(made, interface=interface, state=state, access_log=None, on_exception=print)


def test_worker_options():
    made = config(
        interface="asginl",
        workers=2,
        backpressure=5,
        url_path_prefix="/api",
        http="1",
        http1_settings=HTTP1Settings(7, False, 9000, True),
    )
    state = {}
    options = worker_options(made, Interfaces.ASGINL, state)
    expected = {
        "interface": "asgi",
        "state": state,
        "blocking_threads": 1,
        "blocking_threads_idle_timeout": timedelta(seconds=30),
        "backpressure": 5,
        "url_path_prefix": "/api",
        "http": "1",
        "http1": Http1Options(timedelta(milliseconds=7), keep_alive=False, max_buffer_size=9000),
        "tls": None,
        "multiprocess": True,
        "access_log": None,
        "on_exception": print,
    }
    assert {name: getattr(options, name) for name in expected} == expected
    assert type(options.interface) is type(options.http) is type(options.url_path_prefix) is str
    assert options.state is state


def test_worker_options_by_group():
    options = worker_options(config(ws_idle_timeout=0.25, ws_close_timeout=0), Interfaces.ASGI)
    second = timedelta(seconds=1)
    assert options.websocket == WebSocketOptions(
        enabled=True,
        ping_interval=20 * second,
        ping_timeout=20 * second,
        max_size=16 * 1024 * 1024,
        queue_size=Config.ws_queue_size,
        deflate=True,
        idle_timeout=second / 4,
        close_timeout=0 * second,
    )
    assert options.http2.max_headers_size == 65_536
    assert (options.http2.keep_alive_interval, options.http2.keep_alive_timeout) == (None, 20 * second)
    settings = HTTP2Settings(keep_alive_interval=1500, max_headers_size=2**40)
    options = worker_options(config(http2_settings=settings), Interfaces.ASGI)
    assert options.http2.keep_alive_interval == 1.5 * second
    assert options.http2.max_headers_size == 2**32 - 1
    settings = HTTP2Settings(max_headers_size=16 * 1024 * 1024)
    assert worker_options(config(http2_settings=settings), Interfaces.ASGI).http2.max_headers_size == 16 * 1024 * 1024


@pytest.mark.parametrize("seconds", [1e300, float("inf"), float("nan")])
def test_times_without_end_are_a_century(seconds):
    made = config(ws_idle_timeout=seconds, ws_close_timeout=seconds)
    group = worker_options(made, Interfaces.ASGI).websocket
    assert group.idle_timeout == group.close_timeout == timedelta(days=36_500)


@pytest.mark.parametrize("http", ["auto", "1", "2"])
def test_websockets_in_every_version(http):
    """`--http 2` switched them off, although they go over HTTP/2 (RFC 8441)."""
    made = config(http=http)
    assert worker_options(made, Interfaces.ASGI).websocket.enabled


def test_worker_options_of_wsgi():
    options = worker_options(config(blocking_threads=3), Interfaces.WSGI)
    assert (options.interface, options.blocking_threads, options.websocket.enabled) == ("wsgi", 3, False)


def test_configuration_error_travels():
    error = pickle.loads(pickle.dumps(ConfigurationError("port", "no")))
    assert (error.option, str(error), error.args[0]) == ("port", "port: no", "port")
    assert str(ConfigurationError("port")) == "port"


def test_mount_is_a_path_relative_to_here():
    assert isinstance(config(working_dir=".").working_dir, Path)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"ssl_cert": "c"}, "ssl_key"),
        ({"ssl_key": "k"}, "ssl_cert"),
        ({"ssl_client_verify": True}, "ssl_client_verify"),
        ({"ssl_crl": "c"}, "ssl_crl"),
        ({"static_path_mount": ["a", "b"]}, "static_path"),
        ({"static_path_mount": ["a"], "static_path_route": ["/a", "/b"]}, "static_path"),
        ({"static_path_mount": ["a"], "static_path_route": ["a"]}, "static_path_route"),
        ({"static_path_mount": ["a"], "static_path_route": ["/a/../b"]}, "static_path_route"),
        ({"static_path_mount": ["a"], "static_path_dir_to_file": "../x"}, "static_path_dir_to_file"),
        ({"static_path_mount": ["a"], "static_path_fallback": "/etc/passwd"}, "static_path_fallback"),
        ({"static_path_fallback": "index.html"}, "static_path_fallback"),
        ({"static_path_precompressed": True}, "static_path_precompressed"),
        ({"static_path_follow_links": True}, "static_path_follow_links"),
        ({"static_path_fallthrough": True}, "static_path_fallthrough"),
        *(
            ({"sendfile_map": text}, "sendfile_map")
            for text in ("x", "/a", "/a=", "a=/", "/../a=/", "/a=/nothing/here")
        ),
        ({"static_path_type": "a=b/c"}, "static_path_type"),
        ({"static_path_mount": ["a"], "static_path_immutable": "(?!a)"}, "static_path_immutable"),
        *(
            ({"static_path_mount": ["a"], "static_path_header": text}, "static_path_header")
            for text in ("x", "a b: c", "x: a\nb", "etag: x", "Content-Type: a/b", "/other x: y")
        ),
        *(
            ({"static_path_mount": ["a"], "static_path_type": text}, "static_path_type")
            for text in ("x", "a/b=c", "=a/b")
        ),
    ],
)
def test_options_that_need_each_other(options, name):
    assert refusal(**options).startswith(f"{name}: ")


@pytest.mark.parametrize(
    "options",
    [
        {"static_path_mount": "a"},
        {"static_path_route": "/a"},
        {"static_path_mount": ["a", "b"], "static_path_route": ["/a", "/b"]},
        {"static_path_mount": "a", "static_path_immutable": [r"\.[0-9a-f]{8}\."], "static_path_type": ".x=a/b; c=d"},
        {"static_path_mount": "a", "static_path_header": ["x-a: b c", "/static X-B:d", "vary: origin"]},
    ],
)
def test_options_that_go_together(options):
    assert config(**options).ssl_ctx[0] is False


def test_remarks(caplog):
    config(task_impl="rust", workers=100_000)
    assert "100000 workers are more than" in caplog.text
    assert "task_impl is without effect" in caplog.text
    caplog.clear()
    config(task_impl="rust", log_level="error")
    config(task_impl="rust", log_enabled=False)
    assert caplog.text == ""


def test_remarks_about_reload(caplog):
    pytest.importorskip("watchfiles")
    caplog.set_level("INFO")
    config(reload=True, workers_lifetime=60, workers_max_rss=1)
    assert "workers_lifetime is without effect with reload" in caplog.text
    assert "workers_max_rss is without effect with reload" in caplog.text


def test_threads_as_far_as_known():
    assert config(interface="wsgi", blocking_threads=5).blocking_threads_effective == 5
    assert config(blocking_threads=5).blocking_threads_effective == 1


def test_optional_packages():
    assert _imports.dotenv is None or _imports.dotenv.__name__ == "dotenv"
    with pytest.raises(AttributeError):
        _ = _imports.nonsense


def test_optional_packages_that_are_missing(monkeypatch):
    monkeypatch.delitem(_imports.__dict__, "setproctitle", raising=False)
    monkeypatch.setitem(sys.modules, "setproctitle", None)
    assert _imports.setproctitle is None
    del _imports.__dict__["setproctitle"]


def test_further_certificates_stay_where_they_are(tmp_path, monkeypatch):
    """The current folder is another one once the application is loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("granian.config.checks.check_tls", lambda options: None)
    config = Config.from_kwargs(target="a:b", ssl_cert="a.pem", ssl_key="a.key", ssl_sni=["b.pem,b.key"])
    monkeypatch.chdir("/")
    options = TlsOptions.from_config(config)
    assert options.certificates[1] == (tmp_path / "b.pem", tmp_path / "b.key", None)
