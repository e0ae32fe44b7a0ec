"""`sections()`: the options in the order and under the headings of the help, the settings page and a printed config."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .config import Config
from .fields import Option, options_of
from .protocols import protocol_options


@dataclass(frozen=True)
class Section:
    """A heading, and `(name in Python, option, default)` of each option below it."""

    title: str
    options: list[tuple[str, Option, Any]]


def sections() -> Iterator[Section]:
    """All options, each in one section; none is empty."""
    rest = {row[0]: row for row in (*options_of(Config), *protocol_options())}
    idle = [rest.pop(name) for name, (_, option, _) in [*rest.items()] if option.idleness is not None]
    for title, names in SECTIONS.items():
        found = [name for word in names.split() for name in _named(word, [*rest])]
        if found:
            # A name may be meant by a word and by a later prefix.
            yield Section(title, [rest.pop(name) for name in dict.fromkeys(found)])
    if rest:
        yield Section(UNPLACED, [*rest.values()])
    yield Section(IDLE, idle)


def _named(word: str, names: list[str]) -> list[str]:
    prefix = word.removesuffix("*")
    return [name for name in names if (name.startswith(prefix) if word.endswith("*") else name == word)]


# Names of options, or a prefix and `*`. An option goes to the first section that names it.
SECTIONS = {
    "Addresses": "address port uds uds_permissions bind fd backlog",
    "Application": "interface factory working_dir env_files url_path_prefix loop preload blocking_threads "
    "blocking_threads_idle_timeout runtime_mode runtime_threads wsgi_spool_limit wsgi_spool_total "
    "backpressure",
    "Workers": "workers workers_max_rss rss_* workers_lifetime workers_lifetime_jitter max_requests "
    "max_requests_jitter respawn_* hang_timeout startup_timeout drain_timeout shutdown_delay background_timeout "
    "workers_kill_timeout process_name pid_file",
    "Development": "reload reload_paths reload_*",
    "Logs": "log_enabled log_level log_format log_dictconfig log_access log_access_format access_log_* "
    "request_id_header slow_request loop_lag log_*",
    "HTTP": "http http1_*",
    "HTTP/2": "http2_*",
    "Websockets": "websockets ws_*",
    "TLS": "ssl_cert ssl_key ssl_key_password ssl_protocol_min ssl_protocol_max ssl_*",
    "Proxies": "forwarded_* proxy_*",
    "Limits": "max_queued_requests queue_timeout overload overload_* max_* keep_alive_timeout request_* write_timeout "
    "cancel_on_disconnect limit_*",
    "Static files": "static_path_mount static_path_route static_path_* sendfile_map",
    "Compression": "compress",
    "Metrics and health": "metrics_enabled metrics_* health_*",
}
# Options that no section names; a test refuses them.
UNPLACED = "Further options"
IDLE = "Without effect"
