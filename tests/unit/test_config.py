"""`granian.config`: defaults, conversions, bounds, options that exclude each other, derived values."""

import dataclasses
import pickle

import pytest

from granian import Granian
from granian.config import Config
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols, TaskImpl
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels


def config(**options):
    return Config.from_kwargs(target="main:app", **options)


def refusal(**options):
    with pytest.raises(ConfigurationError) as caught:
        config(**options)
    return str(caught.value)


DEFAULTS = {
    "address": "127.0.0.1",
    "port": 8000,
    "uds": None,
    "uds_permissions": None,
    "interface": Interfaces.AUTO,
    "workers": 1,
    "blocking_threads": None,
    "blocking_threads_idle_timeout": 30,
    "runtime_threads": 1,
    "runtime_blocking_threads": None,
    "runtime_mode": RuntimeModes.auto,
    "loop": Loops.auto,
    "task_impl": TaskImpl.asyncio,
    "http": HTTPModes.auto,
    "websockets": True,
    "backlog": 1024,
    "backpressure": None,
    "log_enabled": True,
    "log_level": LogLevels.info,
    "log_dictconfig": None,
    "log_access": False,
    "log_access_format": None,
    "ssl_cert": None,
    "ssl_key": None,
    "ssl_key_password": None,
    "ssl_protocol_min": SSLProtocols.tls13,
    "ssl_ca": None,
    "ssl_client_verify": False,
    "url_path_prefix": None,
    "respawn_failed_workers": True,
    "respawn_interval": 3.5,
    "rss_sample_interval": 30,
    "rss_samples": 1,
    "workers_lifetime": None,
    "workers_max_rss": None,
    "workers_kill_timeout": None,
    "factory": False,
    "working_dir": None,
    "static_path_dir_to_file": None,
    "static_path_expires": 86400,
    "metrics_enabled": False,
    "metrics_scrape_interval": 15,
    "metrics_address": "127.0.0.1",
    "metrics_port": 9090,
    "reload": False,
    "reload_filter": None,
    "reload_tick": 50,
    "reload_ignore_worker_failure": False,
    "process_name": None,
    "pid_file": None,
    "drain_timeout": None,
    "background_timeout": 2,
    "max_requests": None,
    "max_requests_jitter": 0,
    "workers_lifetime_jitter": 0,
    "hang_timeout": None,
    "preload": False,
}


def test_defaults():
    made = config()
    assert {name: getattr(made, name) for name in DEFAULTS} == DEFAULTS
    assert made.http1_settings == HTTP1Settings()
    assert made.http2_settings == HTTP2Settings()
    assert made.target == "main:app"


@pytest.mark.parametrize(
    "name",
    [
        "env_files",
        "ssl_crl",
        "static_path_route",
        "static_path_mount",
        "bind",
        "reload_paths",
        "reload_ignore_dirs",
        "reload_ignore_patterns",
        "reload_ignore_paths",
    ],
)
def test_sequences_are_empty(name):
    assert not getattr(config(), name)


def test_none_means_the_default():
    made = config(http1_settings=None, http2_settings=None, port=None, interface=None)
    assert made == config()


def test_a_config_does_not_change_and_travels():
    made = config(interface="wsgi", uds="a.sock", env_files=[])
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.port = 1
    assert pickle.loads(pickle.dumps(made)) == made


def test_unknown_option():
    with pytest.raises(TypeError, match="nonsense"):
        config(nonsense=1)


@pytest.mark.parametrize("target", ["", None, 1])
def test_a_target_is_needed(target):
    with pytest.raises(ConfigurationError, match=r"^target: "):
        Config.from_kwargs(target=target)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("interface", "asgi", Interfaces.ASGI),
        ("interface", "auto", Interfaces.AUTO),
        ("interface", Interfaces.ASGINL, Interfaces.ASGINL),
        ("http", "1", HTTPModes.http1),
        ("runtime_mode", "mt", RuntimeModes.mt),
        ("loop", "uvloop", Loops.uvloop),
        ("task_impl", "rust", TaskImpl.rust),
        ("log_level", "debug", LogLevels.debug),
        ("ssl_protocol_min", "tls1.2", SSLProtocols.tls12),
    ],
)
def test_plain_strings_for_enums(name, given, value):
    made = getattr(config(**{name: given}), name)
    assert made is value


@pytest.mark.parametrize("name", ["interface", "http", "runtime_mode", "task_impl", "log_level", "ssl_protocol_min"])
def test_a_value_that_is_no_choice(name):
    message = refusal(**{name: "nonsense"})
    assert message.startswith(f"{name}: ")
    assert "nonsense" in message


def test_a_loop_of_the_applications_own():
    assert config(loop="custom").loop == "custom"


@pytest.mark.parametrize("name", ["uds", "working_dir", "pid_file"])
def test_paths_may_be_strings(name, tmp_path):
    assert getattr(config(**{name: str(tmp_path)}), name) == tmp_path
    assert getattr(config(**{name: tmp_path}), name) == tmp_path


@pytest.mark.parametrize("name", ["env_files", "reload_paths", "reload_ignore_paths"])
def test_one_path_or_several(name, tmp_path):
    expected = (tmp_path,)
    for given in (str(tmp_path), tmp_path, [str(tmp_path)], (tmp_path,), iter([tmp_path])):
        assert tuple(getattr(config(**{name: given}), name)) == expected


@pytest.mark.parametrize("name", ["bind", "reload_ignore_dirs", "reload_ignore_patterns"])
def test_one_text_or_several(name):
    assert tuple(getattr(config(**{name: "abc"}), name)) == ("abc",)
    assert tuple(getattr(config(**{name: ["a", "b"]}), name)) == ("a", "b")


def test_an_abstract_socket_keeps_its_name():
    assert str(config(uds="@name").uds) == "@name"


def test_relative_paths_hold_after_a_change_of_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = config(uds="a.sock", env_files=[".env"], pid_file="pid")
    assert made.uds == tmp_path / "a.sock"
    assert made.env_files == (tmp_path / ".env",)
    assert made.pid_file == tmp_path / "pid"


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("workers", 0, 1),
        ("workers", -3, 1),
        ("runtime_threads", 0, 1),
        ("runtime_blocking_threads", 0, 1),
        ("backlog", 1, 128),
        ("backpressure", 0, 1),
        ("blocking_threads", 0, 1),
        ("rss_samples", 0, 1),
        ("rss_sample_interval", 0, 0.1),
        ("reload_tick", 0, 1),
    ],
)
def test_too_little_is_raised_to_the_minimum(name, given, value):
    assert getattr(config(**{name: given}), name) == value


@pytest.mark.parametrize(
    ("name", "given"),
    [("reload_tick", 10), ("workers_kill_timeout", 0.5), ("workers_kill_timeout", 0), ("rss_sample_interval", 0.5)],
)
def test_minima_of_the_command_line_only(name, given):
    assert getattr(config(**{name: given}), name) == given


def test_minima_of_settings():
    settings = HTTP2Settings(max_concurrent_streams=1, max_send_buffer_size=100)
    assert config(http2_settings=settings).http2_settings == settings


POSITIONAL = (
    "target address port uds uds_permissions interface workers blocking_threads blocking_threads_idle_timeout "
    "runtime_threads runtime_blocking_threads runtime_mode loop task_impl http websockets backlog backpressure "
    "http1_settings http2_settings log_enabled log_level log_dictconfig log_access log_access_format ssl_cert ssl_key "
    "ssl_key_password ssl_protocol_min ssl_ca ssl_crl ssl_client_verify url_path_prefix respawn_failed_workers "
    "respawn_interval rss_sample_interval rss_samples workers_lifetime workers_max_rss workers_kill_timeout factory "
    "working_dir env_files static_path_route static_path_mount static_path_dir_to_file static_path_expires "
    "metrics_enabled metrics_scrape_interval metrics_address metrics_port reload reload_paths reload_ignore_dirs "
    "reload_ignore_patterns reload_ignore_paths reload_filter reload_tick reload_ignore_worker_failure process_name "
    "pid_file"
)


def test_positional_order():
    """That of the contract (2.2); what is new comes after it, and by keyword."""
    fields = dataclasses.fields(Config)
    assert [field.name for field in fields if not field.kw_only] == POSITIONAL.split()
    assert [field.name for field in fields][: len(POSITIONAL.split())] == POSITIONAL.split()


def test_positional_arguments():
    values = ["::1", 1, None, None, "asgi", 2, None, 30, 1, 7, "st", "asyncio", "asyncio", "1", False, 200, 3]
    made = Granian("main:app", *values).config
    assert (made.websockets, made.backlog, made.backpressure) == (False, 200, 3)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("port", -1),
        ("port", 65536),
        ("blocking_threads_idle_timeout", 4),
        ("blocking_threads_idle_timeout", 601),
        ("workers_lifetime", 59),
        ("workers_kill_timeout", -1),
        ("workers_max_rss", 0),
        ("max_requests", 0),
        ("drain_timeout", -1),
        ("background_timeout", -1),
        ("reload_ignore_patterns", "("),
        ("workers", "two"),
        ("workers", 1.5),
        ("workers", True),
        ("address", 1),
        ("uds", 1),
        ("uds", ""),
        ("respawn_interval", "soon"),
        ("workers_lifetime", True),
        ("log_dictconfig", []),
        ("http1_settings", {}),
        ("reload_ignore_dirs", [1]),
    ],
)
def test_values_out_of_bounds(name, given):
    assert refusal(**{name: given}).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"http1_settings": HTTP1Settings(header_read_timeout=0)}, "http1_settings"),
        ({"http1_settings": HTTP1Settings(max_buffer_size=8191)}, "http1_settings"),
        ({"http2_settings": HTTP2Settings(max_frame_size=16383)}, "http2_settings"),
        ({"http2_settings": HTTP2Settings(max_frame_size=1 << 24)}, "http2_settings"),
        ({"http2_settings": HTTP2Settings(initial_stream_window_size=1 << 31)}, "http2_settings"),
    ],
)
def test_settings_out_of_bounds(settings, option):
    assert refusal(**settings).startswith(option)


def test_durations_may_be_fractions_or_texts():
    made = config(drain_timeout=0.5, workers_kill_timeout="1m30s", hang_timeout="10")
    assert (made.drain_timeout, made.workers_kill_timeout, made.hang_timeout) == (0.5, 90, 10)


@pytest.mark.parametrize("text", ["", "1x", "1s1m", " 1s", "1.5"])
def test_texts_that_are_no_duration(text):
    assert refusal(workers_lifetime=text).startswith("workers_lifetime: ")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ()),
        ("127.0.0.1", ("127.0.0.1",)),
        ("127.0.0.1, 10.0.0.0/8,,unix", ("127.0.0.1", "10.0.0.0/8", "unix")),
        (["*", "::0001, fd00::/8"], ("*", "::1", "fd00::/8")),
        ("10.0.0.0/255.0.0.0", ("10.0.0.0/8",)),
    ],
)
def test_proxies_that_are_believed(given, kept):
    assert Config.from_kwargs(target="main:app", forwarded_allow_ips=given).forwarded_allow_ips == kept


@pytest.mark.parametrize("given", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "fe80::1%eth0", "unix:/run/x", "**"])
def test_proxies_that_are_none(given):
    with pytest.raises(ConfigurationError, match="is no address, network"):
        Config.from_kwargs(target="main:app", forwarded_allow_ips=["127.0.0.1", given])
