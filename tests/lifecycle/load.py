"""Constant load that counts what fails."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from typing import Any

from e2e.server import Server


class Load:
    """Clients that ask for `/` over and over, each request on a connection of its own."""

    def __init__(self, server: Server, clients: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._address: Any = server.address
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        if exception[0] is None:
            assert not self.failures, f"{len(self.failures)} failed: {self.failures[:3]}"
            assert self.answers

    def wait_answers(self, count: int, timeout: float = 20) -> None:
        """Until so many more requests have been answered."""
        deadline = time.monotonic() + timeout
        with self._changed:
            goal = self.answers.total() + count
            while self.answers.total() < goal:
                left = deadline - time.monotonic()
                assert left > 0, f"{self.answers.total()} of {goal} answers"
                assert not self.failures, self.failures[:3]
                self._changed.wait(left)

    def wait_answer(self, text: str, timeout: float = 20) -> None:
        """Until a request that is sent from now on has this answer."""
        before = self.answers[text]
        deadline = time.monotonic() + timeout
        with self._changed:
            while self.answers[text] <= before:
                left = deadline - time.monotonic()
                assert left > 0, f"no {text!r}: {self.answers}"
                self._changed.wait(left)

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection(*self._address, timeout=15)
            try:
                connection.request("GET", "/", headers={"connection": "close"})
                response = connection.getresponse()
                body = response.read().decode()
                failure = None if response.status == 200 else f"{response.status} {body}"
            except OSError as error:
                failure = repr(error)
            except http.client.HTTPException as error:
                failure = repr(error)
            finally:
                connection.close()
            with self._changed:
                if failure is None:
                    self.answers[body] += 1
                else:
                    self.failures.append(failure)
                self._changed.notify_all()
