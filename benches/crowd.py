"""Many idle websockets: resident bytes of each, and how long a message takes to reach all of them."""

import selectors
import socket
import time
from pathlib import Path

from benches import websocket
from benches.memory import settled_rss
from benches.peers import Launch, Peer
from benches.process import ServerFailed, ServerProcess, free_port
from benches.results import Crowd
from benches.websocket import MESSAGE
from benches.workloads import Goal, Workload

IDLE = 2_000
CROWD = 10_000
_TIMES = 3
_WORKLOAD = Workload("websocket-crowd", "asgi", "asgi_app:crowd", MESSAGE, Goal(), load="websocket")


def measure(peer: Peer, directory: Path) -> Crowd:
    """Both figures of one server, without options."""
    setting, arguments = next(iter(peer.settings[_WORKLOAD.settings].items()))
    port = free_port()
    launch = Launch(directory, "asgi", _WORKLOAD.target, port, (*arguments, *peer.many_connections))
    connections: list[socket.socket] = []
    try:
        with ServerProcess(peer.command(launch), port) as server:
            server.wait_ready(_WORKLOAD)
            for connection in _gather(port, IDLE // 20):
                connection.close()
            before = settled_rss(server)
            connections = _gather(port, IDLE)
            idle = (settled_rss(server) - before) / IDLE
            connections += _gather(port, CROWD - IDLE)
            reached = min(_broadcast(connections) for _ in range(_TIMES))
    except (OSError, ServerFailed) as error:
        return Crowd(peer.name, setting, void=f"{error or type(error).__name__} {peer.needs}".strip())
    finally:
        for connection in connections:
            connection.close()
    return Crowd(peer.name, setting, idle, reached)


def _gather(port: int, count: int) -> list[socket.socket]:
    """Open websockets; source addresses rotate to spare ephemeral ports."""
    return [websocket.connect(port, f"127.0.0.{2 + number % 8}") for number in range(count)]


def _broadcast(connections: list[socket.socket]) -> float:
    """Seconds from a message of one of them until all have it."""
    expected = websocket.answer(MESSAGE)
    left = len(connections)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        begun = time.perf_counter()
        connections[0].sendall(websocket.frame(MESSAGE))
        while left:
            ready = selector.select(10)
            if not ready:
                raise ServerFailed(f"{left} of {len(connections)} websockets got nothing")
            for key, _ in ready:
                if key.fileobj.recv(len(expected)) != expected:  # type: ignore[union-attr]
                    raise ServerFailed("a websocket got something else")
                left -= 1
        return time.perf_counter() - begun
