"""Options of limits: pairs that contradict each other, their form in the core, and remarks on descriptors."""

from __future__ import annotations

import logging
import resource
from datetime import timedelta

import click
import pytest

from granian.config import Config
from granian.config.contradictions import contradictions
from granian.config.limits import LimitOptions
from granian.config.times import LONGEST
from granian.constants import Interfaces
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings, HTTP2Settings
from granian.parameters import MillisecondsType


def config(**options):
    return Config.from_kwargs(target="main:app", **options)


LONG_HEAD = HTTP1Settings(header_read_timeout=60_000)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (
            {"keep_alive_timeout": 59, "http1_settings": LONG_HEAD},
            ("keep_alive_timeout", "--http1-header-read-timeout, 60 s"),
        ),
        (
            {"http2_settings": HTTP2Settings(idle_timeout=59), "http1_settings": LONG_HEAD},
            ("--http2-idle-timeout, 59 s", "--http1-header-read-timeout, 60 s"),
        ),
        ({"request_timeout": 9, "request_body_timeout": 10}, ("request_timeout", "--request-body-timeout, 10 s")),
        ({"queue_timeout": 10, "request_timeout": 10}, ("queue_timeout", "--request-timeout, 10 s")),
        (
            {"max_target_size": 9001, "http1_settings": HTTP1Settings(max_buffer_size=9000)},
            ("max_target_size", "--http1-buffer-size, 9000"),
        ),
        (
            {"max_connections": 1, "max_connections_per_client": 2},
            ("max_connections_per_client", "--max-connections, 1"),
        ),
        ({"max_body_size": 2**20, "wsgi_spool_limit": 2**21}, ("max_body_size", "--wsgi-spool-limit, 2097152")),
        ({"wsgi_spool_total": 2**20, "wsgi_spool_limit": 2**21}, ("wsgi_spool_total", "--wsgi-spool-limit, 2097152")),
        ({"overload_target": 1, "overload_interval": "1s"}, ("overload_target", "--overload-interval, 1 s")),
    ],
)
def test_contradictions_are_one_line_that_names_both(options, names):
    with pytest.raises(ConfigurationError) as caught:
        config(**options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(name in message for name in names), message


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"keep_alive_timeout": 5},
        {"keep_alive_timeout": 0, "http1_settings": LONG_HEAD},
        {"keep_alive_timeout": 60, "http1_settings": LONG_HEAD},
        {"request_timeout": 10},
        {"request_timeout": 10, "request_body_timeout": 10, "queue_timeout": 9},
        {"queue_timeout": 10},
        {"http1_settings": HTTP1Settings(max_buffer_size=8192)},
        {"max_target_size": 9000, "http1_settings": HTTP1Settings(max_buffer_size=9000)},
        {"max_body_size": 1},
        {"max_body_size": 2**21, "wsgi_spool_limit": 2**21},
        {"wsgi_spool_limit": 2**21},
        {"wsgi_spool_total": 2**20},
        {"wsgi_spool_total": 2**21, "wsgi_spool_limit": 2**21},
        {"max_connections": 2, "max_connections_per_client": 2},
    ],
)
def test_one_of_a_pair_needs_no_thought_of_the_other(options):
    assert list(contradictions(config(**options))) == []


def test_in_the_core_0_is_no_limit():
    made = LimitOptions.from_config(config(request_body_timeout=0, write_timeout=0, keep_alive_timeout=0))
    endless = timedelta(seconds=LONGEST)
    assert (made.request_body_timeout, made.write_timeout) == (endless, endless)
    assert made.keep_alive_timeout == timedelta(0)
    assert (made.request_timeout, made.queue_timeout, made.request_body_min_rate) == (None, None, None)
    assert made.overload is None


def test_against_overload_threads_have_no_line_of_their_own():
    plain = config(backpressure=100, blocking_threads=4)
    assert plain.backpressure_for(Interfaces.WSGI) == 100
    guarded = config(backpressure=100, blocking_threads=4, overload="auto", overload_target="10ms")
    assert guarded.backpressure_for(Interfaces.WSGI) == 4
    assert guarded.backpressure_for(Interfaces.ASGI) == 100
    assert LimitOptions.from_config(guarded).overload == (timedelta(milliseconds=10), timedelta(milliseconds=100))


def test_the_time_for_a_head_is_in_milliseconds_or_has_a_unit():
    def head(value):
        return config(http1_settings=HTTP1Settings(header_read_timeout=value)).http1_settings.header_read_timeout

    assert [head(value) for value in (30_000, "30000", "30s", "500ms", "1m")] == [30_000, 30_000, 30_000, 500, 60_000]
    with pytest.raises(ConfigurationError, match="'30x' is not a valid duration"):
        head("30x")
    found = MillisecondsType(1, 60_000)
    assert [found.convert(value, None, None) for value in ("30", "30s", 5)] == [30, 30_000, 5]
    for wrong in ("61s", "0", "x", "1.5"):
        with pytest.raises(click.BadParameter):
            found.convert(wrong, None, None)


def test_too_few_descriptors_are_said(caplog, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    with caplog.at_level(logging.WARNING, "_granian"):
        config(max_connections=936)
        config()
        assert caplog.messages == []
        config(max_connections=937)
        config(backpressure=2000)
    assert [message.split(" of ")[-1] for message in caplog.messages] == ["max_connections", "backpressure"]
    assert "1000 descriptors" in caplog.messages[0]
