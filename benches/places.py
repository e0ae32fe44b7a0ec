"""Where the client is, and how much of a processor the server has: network namespaces and control groups."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benches.load import Target
from benches.process import LOAD_CORE, SERVER_CORE

PLACES = ("loopback", "veth", "veth-steered")
_NAMESPACE = "granian-bench"
_OURS, _THEIRS = "granian-b0", "granian-b1"
_SERVER_ADDRESS, _CLIENT_ADDRESS = "10.201.73.1", "10.201.73.2"
_PERIOD_US = 100_000


class Unsupported(Exception):
    """The machine does not let this be made; the message says why."""


@contextmanager
def place(name: str) -> Iterator[tuple[str, Target]]:
    """The address to serve on, and the target of the load (its port is still to be set).

    `veth` is a client in a network namespace of its own; the kernel handles what it receives on the sender's core, as
    on loopback. `veth-steered` has the receiver's core do that (receive packet steering), as if the wire went to
    another machine: the sender pays for no more than an interrupt.
    """
    if name == "loopback":
        yield "127.0.0.1", Target(0)
        return
    with ExitStack() as stack:
        _ip("netns", "add", _NAMESPACE)
        stack.callback(_ip, "netns", "del", _NAMESPACE)
        _ip("link", "add", _OURS, "type", "veth", "peer", "name", _THEIRS, "netns", _NAMESPACE)
        _ip("addr", "add", f"{_SERVER_ADDRESS}/30", "dev", _OURS)
        _ip("link", "set", _OURS, "up")
        _ip("-n", _NAMESPACE, "addr", "add", f"{_CLIENT_ADDRESS}/30", "dev", _THEIRS)
        _ip("-n", _NAMESPACE, "link", "set", _THEIRS, "up")
        inside = ("ip", "netns", "exec", _NAMESPACE)
        if name == "veth-steered":
            _steer((), _OURS, SERVER_CORE)
            _steer(inside, _THEIRS, LOAD_CORE)
        yield "0.0.0.0", Target(0, _SERVER_ADDRESS, inside)


def _steer(prefix: tuple[str, ...], device: str, core: int) -> None:
    file = f"/sys/class/net/{device}/queues/rx-0/rps_cpus"
    _run(*prefix, "sh", "-c", f"echo {1 << core:x} > {file}")


@contextmanager
def quota(percent: int | None) -> Iterator[Path | None]:
    """A control group whose processes get so much of one processor; none without a figure."""
    if percent is None:
        yield None
        return
    unified, divided = Path("/sys/fs/cgroup/granian-bench"), Path("/sys/fs/cgroup/cpu/granian-bench")
    is_unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    group = unified if is_unified else divided
    share = _PERIOD_US * percent // 100
    try:
        group.mkdir(exist_ok=True)
        if is_unified:
            (group / "cpu.max").write_text(f"{share} {_PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(share))
    except OSError as error:
        raise Unsupported(f"no control group with a quota: {error}") from error
    try:
        yield group
    finally:
        try:
            group.rmdir()
        except OSError as error:
            print(f"{group} stays: {error}")


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsupported(f"{' '.join(command)}: {done.stderr.strip()}")
