"""Greedy clients, those of `python -m benches.greedy`: all others are answered meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from benches.greed import KINDS, Client, Kind

from .conftest import ServerFactory
from .server import Server
from .tls import Files, TlsWire, context
from .wire import Wire

APPS = "benches/apps"
POLITE = 5
ROUNDS = 8


@pytest.mark.parametrize("name", KINDS)
def test_polite_clients_are_answered(
    server: ServerFactory, files: Files, name: str, pytestconfig: pytest.Config
) -> None:
    kind = KINDS[name]
    options = (*kind.options, *(files.options if kind.secure else ()))
    app: Server = server("greedy_app:asgi", "asgi", *options, cwd=pytestconfig.rootpath / APPS)
    assert isinstance(app.address, tuple)
    client = Client(kind, app.address[1])
    greed = threading.Thread(target=client.run, args=(30,), daemon=True)
    greed.start()
    try:
        while not client.sent:
            assert greed.is_alive()
            time.sleep(0.005)
        with ExitStack() as stack:
            wires = [stack.enter_context(polite(app, kind, files)) for _ in range(POLITE)]
            for _ in range(ROUNDS):
                for wire in wires:
                    wire.request("GET", "/")
                for wire in wires:
                    assert wire.response().body == b"Hello, world!"
        assert greed.is_alive()
    finally:
        client.leave()
        greed.join()
        client.close()


def polite(app: Server, kind: Kind, files: Files) -> Wire:
    return TlsWire(app, context(files.authority)) if kind.secure else app.connect()
