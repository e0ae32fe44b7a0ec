"""`contradictions()`: limits of which one makes the other one senseless.

A limit that has its default counts only as far as the other one is out of its usual range: to set one of a pair needs
no thought of the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..http import HTTP1Settings

if TYPE_CHECKING:
    from .config import Config


def contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """Pairs of an option's name and the reason, which names the other option."""
    default = {field.name: field.default for field in dataclasses.fields(config)}

    def is_given(name: str) -> bool:
        return bool(getattr(config, name) != default[name])

    head = config.http1_settings.header_read_timeout
    if 0 < config.keep_alive_timeout < head / 1000 and head != HTTP1Settings().header_read_timeout:
        yield "keep_alive_timeout", f"less than --http1-header-read-timeout, {head / 1000:g} s"
    idle = config.http2_settings.idle_timeout
    if idle < head / 1000 and head != HTTP1Settings().header_read_timeout:
        reason = f"--http2-idle-timeout, {idle:g} s, is less than --http1-header-read-timeout, {head / 1000:g} s"
        yield "http2_settings", reason
    if is_given("request_body_timeout") and 0 < config.request_timeout < config.request_body_timeout:
        yield "request_timeout", f"less than --request-body-timeout, {config.request_body_timeout:g} s"
    if is_given("wsgi_spool_limit") and (config.max_body_size or config.wsgi_spool_limit) < config.wsgi_spool_limit:
        yield "max_body_size", f"less than --wsgi-spool-limit, {config.wsgi_spool_limit}"
    if is_given("wsgi_spool_limit") and (config.wsgi_spool_total or config.wsgi_spool_limit) < config.wsgi_spool_limit:
        yield "wsgi_spool_total", f"less than --wsgi-spool-limit, {config.wsgi_spool_limit}"
    most, of_client = config.max_connections, config.max_connections_per_client
    if most is not None and of_client is not None and of_client > most:
        yield "max_connections_per_client", f"more than --max-connections, {most}"
    if config.overload_target >= config.overload_interval:
        yield "overload_target", f"not less than --overload-interval, {config.overload_interval:g} s"
    if 0 < config.request_timeout <= config.queue_timeout:
        yield "queue_timeout", f"not less than --request-timeout, {config.request_timeout:g} s"
    if is_given("max_target_size") and config.max_target_size > config.http1_settings.max_buffer_size:
        yield "max_target_size", f"more than --http1-buffer-size, {config.http1_settings.max_buffer_size}"
