"""`Watch`: a thread that sees why requests are slow, and what blocks the event loop, while it does.

It wakes a few times a second, looks at the requests in flight, which the core lets any thread see, and asks the event
loop for a sign of life. `SIGUSR2` has it describe all requests at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ..formatters import escaped
from ..log import logger
from .stacks import Stack, stack_of_task, stack_of_thread, thread_behind, thread_name

if TYPE_CHECKING:
    from .._granian import InFlight


class Request(NamedTuple):
    """A request in flight, as the core tells of it."""

    # Nanoseconds of a clock of the core's.
    came: int
    age: float
    # `body`, `queue`, `application` or `send`
    place: str
    method: str
    path: str
    client: str
    id: str | None
    task: asyncio.Task[Any] | None
    thread: int | None

    def __str__(self) -> str:
        name = f" ({self.id})" if self.id else ""
        return f"{self.method} {escaped(self.path)} from {self.client or 'a Unix socket'}{name}"


class Watch:
    """Watches one event loop and its requests; made on the loop's thread.

    `slow_request` and `loop_lag` are seconds; `None` leaves that out. Without both there is no thread.
    """

    def __init__(
        self,
        requests: InFlight,
        loop: asyncio.AbstractEventLoop,
        slow_request: float | None,
        loop_lag: float | None,
        is_threaded: bool = False,
    ) -> None:
        self._requests = requests
        self._loop = loop
        self._slow = slow_request
        self._lag = Lag(loop, threading.get_ident(), loop_lag, self._on_loop) if loop_lag is not None else None
        # Threads of a pool call the application.
        self._is_threaded = is_threaded
        self._home = threading.get_ident()
        # Requests that came before it were told of.
        self._next = 0
        self._over = threading.Event()
        spans = [span for span in (slow_request, loop_lag) if span is not None]
        self._interval = min(max(min(spans) / LOOKS, SHORTEST), LONGEST) if spans else 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watches from now on."""
        if self._interval:
            self._thread = threading.Thread(target=self._run, name="granian-watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._over.set()

    def describe(self) -> None:
        """Logs every request in flight; from any thread."""
        found, count = self._find(0.0, 0, MOST_DESCRIBED)
        for request in found:
            self._tell("In flight", request)
        if count > len(found):
            logger.warning("%d further requests are in flight", count - len(found))

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            try:
                self._look()
            except Exception as error:
                # The application's objects are looked at while they change.
                logger.debug("The watch has missed something: %r", error)

    def _look(self) -> None:
        if self._lag is not None:
            self._lag.look(self._interval)
        if self._slow is None:
            return
        found, count = self._find(self._slow, self._next, MOST_AT_ONCE)
        for request in found:
            self._next = request.came + 1
            self._tell("Slow request", request)
        if count > len(found):
            logger.warning("%d further requests are slow", count - len(found))
            rest, _ = self._find(self._slow, self._next, count)
            self._next = max((request.came + 1 for request in rest), default=self._next)

    def _find(self, seconds: float, first: int, limit: int) -> tuple[list[Request], int]:
        found, count = self._requests.older_than(seconds, first, limit)
        return [Request(*facts) for facts in found], count

    def _tell(self, what: str, request: Request) -> None:
        where, stack = self._where(request)
        facts = {
            "method": request.method,
            "path": request.path,
            "client": request.client,
            "request_id": request.id,
            "age": round(request.age, 3),
            "waits_in": request.place,
        }
        text = f"\n{stack}" if stack else ""
        logger.warning("%s: %s, %.1f s so far, %s%s", what, request, request.age, where, text, extra={"facts": facts})

    def _where(self, request: Request) -> tuple[str, str]:
        """Where the request is and for whom it waits, and the stack of the application if it is there."""
        if request.place == "queue":
            return f"in the queue: it waits for its turn, {len(self._requests)} are in flight", ""
        if request.place == "body":
            return "in the body: it waits for the client to send it", ""
        if request.place == "send":
            return "in the answer: it waits for the client to take it", ""
        if request.task is not None:
            return self._where_task(stack_of_task(request.task))
        if request.thread is None and self._is_threaded:
            return "in the queue: it waits for a thread of the application's", ""
        number = request.thread or self._home
        stack = stack_of_thread(number, skips_loop=number == self._home)
        name = "the event loop's thread" if number == self._home else f"thread {thread_name(number)}"
        return f"in the application, on {name}", stack.lines()

    def _where_task(self, stack: Stack) -> tuple[str, str]:
        if stack.is_running:
            running = stack_of_thread(self._home, skips_loop=True)
            return "in the application, which runs on the event loop's thread", running.lines()
        number = thread_behind(stack.future) if stack.future is not None else None
        if number is not None:
            below = stack_of_thread(number)
            text = f"{stack.lines()}\nThread {thread_name(number)}:\n{below.lines()}"
            return f"in the application, whose task waits for thread {thread_name(number)}", text
        wait = stack.wait()
        return f"in the application, whose task waits{f' for {wait}' if wait else ''}", stack.lines()

    def _on_loop(self) -> str:
        """The requests whose application runs on the event loop's thread at this moment."""
        found, _ = self._find(0.0, 0, MOST_DESCRIBED)
        running = [request for request in found if request.place == "application" and self._is_on_loop(request)]
        return f", in {running[0]}" if len(running) == 1 else ""

    def _is_on_loop(self, request: Request) -> bool:
        if request.task is not None:
            return stack_of_task(request.task).is_running
        return request.thread == self._home or (request.thread is None and not self._is_threaded)


class Lag:
    """Tells when the event loop has given no sign of life for so many seconds, with the stack of what runs on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, home: int, seconds: float, on_loop: Any) -> None:
        self._loop = loop
        self._home = home
        self._seconds = seconds
        self._on_loop = on_loop
        # The time of the question that has no answer yet.
        self._asked: float | None = None
        self._is_told = False
        self._last = (time.monotonic(), time.process_time())

    def look(self, interval: float) -> None:
        """Asks, or tells that there is no answer."""
        now, used = time.monotonic(), time.process_time()
        (before, used_before), self._last = self._last, (now, used)
        if self._asked is None:
            return self._ask(now)
        late = now - before - interval
        if late > self._seconds / 2 and used - used_before < late / 2:
            # This process was stopped, or got no time.
            self._asked = now
        if now - self._asked >= self._seconds and not self._is_told:
            self._is_told = True
            stack = stack_of_thread(self._home, skips_loop=True)
            request = self._on_loop()
            blocked = now - self._asked
            facts = {"blocked": round(blocked, 3)}
            text = "The event loop has been blocked for %.1f s%s by\n%s"
            logger.warning(text, blocked, request, stack.lines(), extra={"facts": facts})

    def _ask(self, now: float) -> None:
        self._asked = now
        try:
            self._loop.call_soon_threadsafe(self._answer)
        except RuntimeError:
            # The loop is closed.
            self._asked = None

    def _answer(self) -> None:
        asked, self._asked = self._asked, None
        if self._is_told and asked is not None:
            self._is_told = False
            logger.warning("The event loop goes on after %.1f s", time.monotonic() - asked)


# Looks in the time that is watched for.
LOOKS = 4
SHORTEST, LONGEST = 0.05, 1.0
# Requests that are told of in one look, and on demand.
MOST_AT_ONCE = 20
MOST_DESCRIBED = 100
