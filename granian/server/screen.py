"""The first lines of a server's log: what it is, what bounds it, and where to open it."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from .._granian import __version__
from .._loops import auto_loop
from ..config import Config


def first_lines(config: Config, kind: str) -> Iterator[str]:
    """Version, interface, loop, workers and the limits in force; `kind` is that of the workers."""
    workers = f"{config.workers} worker {kind}{('es' if kind.endswith('s') else 's') if config.workers > 1 else ''}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    loop = _loop_of(config)
    yield f"granian {__version__} on {python}: interface {config.interface}, loop {loop}, {workers}"
    yield f"Limits: {', '.join(_limits(config))}"


def open_line(urls: list[str]) -> str | None:
    """The address for a browser on this machine, where the one that is bound cannot be opened."""
    for any_host, own_host in (("://0.0.0.0:", "://127.0.0.1:"), ("://[::]:", "://[::1]:")):
        for url in urls:
            if any_host in url:
                return f"Open it at: {url.replace(any_host, own_host)}"
    return None


def _loop_of(config: Config) -> str:
    name = str(config.loop)
    return f"{auto_loop()} (auto)" if name == "auto" else name


def _limits(config: Config) -> Iterator[str]:
    yield f"{config.backpressure_effective} requests at once in a worker"
    yield f"{config.backlog} waiting connections"
    yield f"{config.http1_settings.header_read_timeout / 1000:g} s for a head"
    if config.workers_max_rss is not None:
        yield f"{config.workers_max_rss} MiB a worker"
    if config.workers_lifetime is not None:
        yield f"{config.workers_lifetime:g} s of life"
    if config.max_requests is not None:
        yield f"{config.max_requests} requests a worker"
    if config.hang_timeout:
        yield f"{config.hang_timeout:g} s without a sign of life"
    yield f"{config.drain_timeout_effective:g} s to drain"
