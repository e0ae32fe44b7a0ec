"""CPUs and memory of a control group, and what is made from them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from granian import cli, resources
from granian.config import Config
from granian.resources import cpu_quota, memory_limit

V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "4:memory:/m\n3:cpu,cpuacct:/c\n0::/\n"}
MIB = 1 << 20


@pytest.fixture
def root(tmp_path):
    def write(files):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (V2, None),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, None),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "150000 100000", "sys/fs/cgroup/a/cpu.max": "50000 100000"}, 0.5),
        # A container that sees its own group as the root.
        (V2 | {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "nonsense"}, None),
        (V1 | {"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "50000\n"}, None),
        (
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            None,
        ),
    ],
)
def test_quota(root, files, quota):
    assert cpu_quota(root(files)) == quota


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        (V2 | {"sys/fs/cgroup/a/b/memory.max": "max\n"}, None),
        (V2 | {"sys/fs/cgroup/a/b/memory.max": "1000\n", "sys/fs/cgroup/memory.max": "900\n"}, 900),
        (V1 | {"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "1000\n"}, 1000),
        (V1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    ],
)
def test_limit(root, files, limit):
    assert memory_limit(root(files)) == limit


@pytest.fixture
def container(monkeypatch):
    """Sets the CPUs and the memory that there are."""

    def limit(cpus, memory):
        monkeypatch.setattr(resources, "cpus", lambda: cpus)
        for module in ("granian.resources", "granian.config.config", "granian.config.sizes"):
            monkeypatch.setattr(f"{module}.memory", lambda: memory)

    return limit


@pytest.mark.parametrize(
    ("cpus", "memory", "workers"),
    [(0.2, None, 1), (1.4, None, 1), (1.5, None, 2), (8, None, 8), (8, 512 * MIB, 4), (8, 64 * MIB, 1)],
)
def test_workers(container, cpus, memory, workers):
    container(cpus, memory)
    assert Config.from_kwargs(target="main:app", workers="auto").workers == workers


def test_threads(container):
    container(2, None)
    assert Config.from_kwargs(target="main:app", interface="wsgi").blocking_threads_effective == 32
    container(2, 64 * MIB)
    assert Config.from_kwargs(target="main:app", interface="wsgi").blocking_threads_effective == 16
    assert Config.from_kwargs(target="main:app", interface="wsgi", workers=2).blocking_threads_effective == 8
    container(2, MIB)
    assert Config.from_kwargs(target="main:app", interface="wsgi").blocking_threads_effective == 1


def test_buffers(container, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run_of(*arguments):
        return CliRunner().invoke(cli.cli, arguments).output

    def printed(*arguments):
        return run_of("--print-config", *arguments)

    container(2, 512 * MIB)
    assert "ws-queue-size = 1048576  # default" in printed()
    container(2, 128 * MIB)
    assert "ws-queue-size = 262144  # by the limit of memory" in printed()
    assert "http2-initial-stream-window-size = 262144  # by the limit of memory" in printed()
    assert "ws-queue-size = 1048576  # --ws-queue-size" in printed("--ws-queue-size", "1048576")
    # Nobody has given them, so nothing is said.
    assert "without effect" not in run_of("--check-config", "--http", "1", "--no-ws")
    container(2, 8 * MIB)
    assert "http2-initial-connection-window-size = 65536  # by the limit of memory" in printed()


def test_a_warning_for_more_workers_than_cpus(container, caplog):
    caplog.set_level("WARNING", "_granian")
    container(1.5, None)
    Config.from_kwargs(target="main:app", workers=2)
    assert caplog.text == ""
    Config.from_kwargs(target="main:app", workers=3)
    assert "3 workers are more than the 2 CPUs that this process may use" in caplog.text
    Config.from_kwargs(target="main:app", runtime_mode="mt", runtime_threads=3)
    assert "3 threads of connections are more than the 2 CPUs that this process may use" in caplog.text
