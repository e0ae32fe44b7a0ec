"""`Guard`: who may see the status page and the metrics."""

from __future__ import annotations

import hmac
import ipaddress

from .http import Request, Response


class Guard:
    """`is_local`: the listener is on loopback addresses only. `token`: what others have to know."""

    def __init__(self, is_local: bool, token: str | None) -> None:
        self._is_local = is_local
        self._token = token

    def refusal(self, request: Request, is_page: bool) -> Response | None:
        """The answer to a request that is not allowed; `is_page` if it is for paths and addresses of clients."""
        if self._token is not None:
            return None if self._knows_token(request) else Response("the token is missing or wrong\n", 401, fields=ASK)
        if self._is_local and not is_loopback(request.fields.get("host", "localhost")):
            # A page of somebody else's, whose name leads to this machine, would read it in a user's browser.
            return Response("the name in Host is none of this machine's loopback\n", 403)
        if is_page and not self._is_local:
            return Response(EXPLANATION, 403)
        return None

    def _knows_token(self, request: Request) -> bool:
        scheme, _, given = request.fields.get("authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else request.query.get("token", "")
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


def is_loopback(host: str) -> bool:
    """Whether a Host field names a loopback address."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower().rstrip(".").split(".")[-1] == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


ASK = {"www-authenticate": "Bearer"}
EXPLANATION = (
    "The status page shows paths and addresses of clients. Give --metrics-token to see it from other machines, or "
    "listen on a loopback address.\n"
)
