"""`python -m benches.offered PORT RATE SECONDS`: requests at a rate, whether or not the ones before have been answered.

The rate `closed` is that of four clients that wait for each answer.

Each takes a connection that has none in flight, of a bounded number. It prints the times of the answers by status.
"""

import json
import selectors
import socket
import sys
import time
from collections import defaultdict

_REQUEST = b"GET /work HTTP/1.1\r\nhost: bench\r\n\r\n"
# Clients wait no longer than this together at a thousand requests a second.
CONNECTIONS = 1000


class Offer:
    """The connections, and the times of what was answered."""

    def __init__(self, port: int) -> None:
        self.times: dict[int, list[float]] = defaultdict(list)
        self.offered = self.missed = 0
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._free: list[socket.socket] = []
        self._open = 0

    def run(self, rate: float, seconds: float) -> None:
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + seconds + 1:
            due = int(min(now - begin, seconds) * rate)
            while self.offered < due:
                self.offered += 1
                self._ask()
            for key, _ in self._selector.select(0.5 / rate):
                self._take(key)

    def run_closed(self, clients: int, seconds: float) -> None:
        for _ in range(clients):
            self._ask()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in self._selector.select(0.1):
                self._take(key)
                self._ask()

    def _ask(self) -> None:
        if not self._free:
            if self._open == CONNECTIONS:
                self.missed += 1
                return
            self._open += 1
            self._free.append(socket.create_connection(("127.0.0.1", self._port), 10))
        wire = self._free.pop()
        wire.sendall(_REQUEST)
        self._selector.register(wire, selectors.EVENT_READ, time.monotonic())

    def _take(self, key: selectors.SelectorKey) -> None:
        wire: socket.socket = key.fileobj  # type: ignore[assignment]
        answer = wire.recv(4096)
        self._selector.unregister(wire)
        self.times[int(answer[9:12] or 0)].append(time.monotonic() - key.data)
        self._free.append(wire)


def main(port: int, rate: str, seconds: float) -> None:
    offer = Offer(port)
    if rate == "closed":
        offer.run_closed(4, seconds)
    else:
        offer.run(float(rate), seconds)
    print("SUMMARY " + json.dumps({"offered": offer.offered, "missed": offer.missed, "times": offer.times}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
