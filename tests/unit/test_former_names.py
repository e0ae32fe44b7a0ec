"""Attributes that code written for granian 2 reads and sets on a server (contract 2.2)."""

from __future__ import annotations

import pytest

from granian import Granian


class Calls:
    """Stands for the supervisor of a server that serves."""

    def __init__(self) -> None:
        self.signals: list[str] = []
        self.crew = self

    def workers(self):
        return ["a worker"]

    def interrupt(self, signum) -> None:
        self.signals.append(signum.name)


@pytest.fixture
def server():
    return Granian("main:app", backlog=1024, workers=2, interface="wsgi", blocking_threads=3)


READ = (
    "target bind_addr bind_port bind_uds uds_permissions interface workers runtime_threads runtime_blocking_threads "
    "runtime_mode loop task_impl http websockets backlog backpressure blocking_threads blocking_threads_idle_timeout "
    "http1_settings http2_settings log_enabled log_level log_config log_access log_access_format url_path_prefix "
    "respawn_failed_workers reload_on_changes respawn_interval rss_sample_interval rss_samples workers_lifetime "
    "workers_rss workers_kill_timeout factory working_dir env_files static_path ssl_ctx metrics_enabled "
    "metrics_scrape_interval metrics_address metrics_port reload_paths reload_ignore_dirs reload_filter reload_tick "
    "process_name pid_file hooks_startup hooks_reload hooks_shutdown wrks pid interrupt_signal interrupt_children "
    "reload_signal lifetime_signal rss_signal main_loop_interrupt"
)


def test_all_are_there(server):
    assert [name for name in READ.split() if not hasattr(server, name)] == []


def test_derived_values(server):
    assert (server.backpressure, server.blocking_threads, server.bind_port) == (512, 3, 8000)
    assert server.runtime_blocking_threads == 512
    assert server.static_path is None
    assert server.wrks == []


def test_flags(server):
    server.main_loop_interrupt.set()
    server._supervisor = calls = Calls()
    assert server.wrks == ["a worker"]
    server.main_loop_interrupt.set()
    assert calls.signals == []
    server.reload_signal = True
    server.main_loop_interrupt.set()
    server.main_loop_interrupt.set()
    assert calls.signals == ["SIGHUP"]
    server.interrupt_signal = True
    server.main_loop_interrupt.set()
    assert calls.signals == ["SIGHUP", "SIGTERM"]
