"""`Endpoints`: what the status listener answers, by path."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from ..config import Config
from ..metrics import Ledger
from ..metrics.exposition import OPENMETRICS, PROMETHEUS, openmetrics, prometheus, wants_openmetrics
from ..metrics.families import Service, families
from ..metrics.history import INTERVAL, History
from .guard import Guard
from .http import Request, Response
from .listener import After
from .page import page
from .view import view


class Endpoints:
    """Answers from the numbers of `ledger`; `service` gives the state of the service.

    `is_local`: the listener is on loopback addresses only.
    """

    def __init__(self, config: Config, ledger: Ledger, service: Callable[[], Service], is_local: bool) -> None:
        self._config = config
        self._ledger = ledger
        self._service = service
        self._guard = Guard(is_local, config.metrics_token)
        self._history = History()
        self._started_at = time.monotonic()

    def keep_readings(self, after: After) -> None:
        """Takes a reading now and every few seconds from now on, for rates; `after` is that of the listener."""
        self._history.note(self._ledger.read())
        after(INTERVAL, lambda: self.keep_readings(after))

    def answer(self, request: Request) -> Response:
        """The answer to a GET or HEAD."""
        match request.path:
            case "/livez":
                return self._health(must_be_ready=False)
            case "/readyz" | "/healthz":
                return self._health(must_be_ready=True)
            case "/metrics":
                return self._guard.refusal(request, is_page=False) or self._metrics(request)
            case "/":
                return self._guard.refusal(request, is_page=True) or page(self._view())
            case "/status.json":
                return self._guard.refusal(request, is_page=True) or self._json()
        return Response("there is nothing here\n", 404)

    def _metrics(self, request: Request) -> Response:
        routes = self._ledger.routes() if self._config.metrics_routes else None
        found = families(self._ledger.read(), self._service(), routes)
        if wants_openmetrics(request.fields.get("accept", "")):
            return Response(openmetrics(found), content_type=OPENMETRICS)
        return Response(prometheus(found), content_type=PROMETHEUS)

    def _view(self) -> dict[str, object]:
        return view(self._ledger, self._history, self._service(), time.monotonic() - self._started_at)

    def _json(self) -> Response:
        return Response(json.dumps(self._view(), indent=1) + "\n", content_type="application/json")

    def _health(self, must_be_ready: bool) -> Response:
        """200, or 503 with a line for each fault."""
        faults = [*self._stuck(), *(self._unready() if must_be_ready else [])]
        return Response("\n".join([*(faults or ["ok"]), ""]), 503 if faults else 200)

    def _unready(self) -> Iterator[str]:
        service = self._service()
        if service.is_draining:
            yield "the service is shutting down"
        elif not service.is_ready:
            states = self._ledger.states()
            yield f"not ready: {', '.join(f'{count} {state}' for state, count in states.items()) or 'no worker'}"

    def _stuck(self) -> Iterator[str]:
        timeout = self._config.health_loop_timeout
        if timeout is None:
            return
        for name, lag in self._ledger.lags().items():
            if lag * 1000 > timeout:
                yield f"{name}: its event loop has been stuck for {lag:.1f} s"
