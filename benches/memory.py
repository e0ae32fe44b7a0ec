"""The memory rows: resident bytes per idle keep-alive connection, and growth under steady use after warm-up."""

import resource
import socket
import time
from pathlib import Path

from benches.load import run_interval
from benches.peers import Launch, Peer
from benches.process import ServerFailed, ServerProcess, free_port
from benches.results import Memory
from benches.workloads import HELLO, Goal, Workload

IDLE_CONNECTIONS = 2_000
STEADY_REQUESTS = 100_000
STEADY_CONNECTIONS = 20_000
_WORKLOADS = {
    interface: Workload(f"memory-{interface}", interface, f"{interface}_app:hello", HELLO, Goal())
    for interface in ("asgi", "rsgi", "wsgi")
}
_SETTLE_SECONDS = 3.0


def measure(peer: Peer, directory: Path, interface: str) -> Memory:
    """Both figures of one server, without options."""
    workload = _WORKLOADS[interface]
    setting, arguments = next(iter(peer.settings[interface].items()))
    name = f"{interface}, {setting}"
    figures = []
    try:
        # A process each: what one part leaves in the allocator must not be the other's starting point.
        for part in (_idle_bytes, _growth_bytes):
            port = free_port()
            launch = Launch(directory, interface, workload.target, port, (*arguments, *peer.many_connections))
            with ServerProcess(peer.command(launch), port) as server:
                server.wait_ready(workload)
                figures.append(part(server, workload))
    except (OSError, ServerFailed) as error:
        return Memory(peer.name, name, void=f"{error} {peer.needs}".strip())
    idle, growth = figures
    return Memory(peer.name, name, idle, growth)


def raise_descriptor_limit() -> None:
    """Thousands of sockets on either side; the servers inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 12_000
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _idle_bytes(server: ServerProcess, workload: Workload) -> float:
    run_interval(server, workload, 1)
    _close_all(_open_idle(server.port, IDLE_CONNECTIONS // 20))
    before = settled_rss(server)
    sockets = _open_idle(server.port, IDLE_CONNECTIONS)
    used = settled_rss(server) - before
    _close_all(sockets)
    return used / IDLE_CONNECTIONS


def _growth_bytes(server: ServerProcess, workload: Workload) -> float:
    _steady_use(server, workload, STEADY_REQUESTS // 2, STEADY_CONNECTIONS // 4)
    before = settled_rss(server)
    _steady_use(server, workload, STEADY_REQUESTS, STEADY_CONNECTIONS)
    return settled_rss(server) - before


def _steady_use(server: ServerProcess, workload: Workload, requests: int, connections: int) -> None:
    done = 0
    while done < requests:
        done += run_interval(server, workload, 2).requests
    for number in range(connections):
        _close_all([_ask(server.port, number)])


def _open_idle(port: int, count: int) -> list[socket.socket]:
    return [_ask(port, number) for number in range(count)]


def _ask(port: int, number: int) -> socket.socket:
    """A connection that has had one request answered; source addresses rotate to spare ephemeral ports."""
    connection = socket.create_connection(("127.0.0.1", port), 5, (f"127.0.0.{2 + number % 8}", 0))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    answer = b""
    while HELLO not in answer:
        chunk = connection.recv(4096)
        if not chunk:
            raise ServerFailed(f"connection {number} was closed unanswered")
        answer += chunk
    return connection


def _close_all(sockets: list[socket.socket]) -> None:
    for connection in sockets:
        connection.close()


def settled_rss(server: ServerProcess) -> int:
    time.sleep(_SETTLE_SECONDS)
    return server.rss_bytes()
