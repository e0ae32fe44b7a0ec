"""`Endpoints`: what the status listener answers, by path."""

from __future__ import annotations

from collections.abc import Callable

from ..metrics import Ledger
from ..metrics.exposition import OPENMETRICS, PROMETHEUS, openmetrics, prometheus, wants_openmetrics
from ..metrics.families import Service, families
from .http import Request, Response


class Endpoints:
    """Answers from the numbers of `ledger`; `service` gives the state of the service."""

    def __init__(self, ledger: Ledger, service: Callable[[], Service]) -> None:
        self._ledger = ledger
        self._service = service

    def answer(self, request: Request) -> Response:
        """The answer to a GET or HEAD."""
        match request.path:
            case "/metrics":
                return self._metrics(request)
        return Response("there is nothing here\n", 404)

    def _metrics(self, request: Request) -> Response:
        found = families(self._ledger.read(), self._service())
        if wants_openmetrics(request.fields.get("accept", "")):
            return Response(openmetrics(found), content_type=OPENMETRICS)
        return Response(prometheus(found), content_type=PROMETHEUS)
