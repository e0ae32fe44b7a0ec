"""Clients' certificates: who is let in, and what applications learn of the session."""

from __future__ import annotations

import datetime
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from .certificates import Authority, Credential
from .conftest import ServerFactory
from .server import Server
from .tls import Files, TlsWire, context
from .wire import Incomplete

APP = "tls_apps:asgi"
V12 = ssl.TLSVersion.TLSv1_2


class Clients:
    """A server's files, and clients' credentials of several sorts."""

    def __init__(self, folder: Path) -> None:
        self.files = Files.make(folder)
        own = self.files.authority
        self.credentials = {
            "known": own.issue("client.test", subject="Jane, Doe"),
            "revoked": own.issue("revoked.test"),
            "strange": Authority().issue("client.test"),
            "expired": own.issue("client.test", valid=-datetime.timedelta(hours=1)),
        }
        self._paths = {name: each.write(folder, name) for name, each in self.credentials.items()}
        self.crl = self.files.write("crl.pem", own.revocations(self.credentials["revoked"]))

    def path(self, name: str) -> tuple[Path, Path]:
        return self._paths[name]

    def options(self, *more: str) -> tuple[str, ...]:
        return (*self.files.options, "--ssl-protocol-min", "tls1.2", "--ssl-ca", str(self.files.ca), *more)


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return Clients(tmp_path_factory.mktemp("tls"))


def ask(running: Server, clients: Clients, name: str | None, **more: Any) -> dict[str, Any]:
    """What the application says to such a client; `ssl.SSLError` if it is turned away."""
    made = context(clients.files.authority, client=clients.path(name) if name else None, **more)
    with TlsWire(running, made) as wire:
        try:
            found: dict[str, Any] = json.loads(wire.request("GET", "/tls").response().body)
        except Incomplete as error:
            raise ssl.SSLError("closed") from error
        return found


REQUIRED = ("--ssl-client-verify",)
REVOKING = ("--ssl-client-verify", "--ssl-crl", "CRL")


@pytest.mark.parametrize("version", [V12, None], ids=["tls12", "tls13"])
@pytest.mark.parametrize(
    ("options", "name", "is_let_in"),
    [
        (REQUIRED, "known", True),
        (REQUIRED, "revoked", True),
        (REQUIRED, None, False),
        (REQUIRED, "strange", False),
        (REQUIRED, "expired", False),
        (REVOKING, "known", True),
        (REVOKING, "revoked", False),
        ((), None, True),
        ((), "known", True),
        ((), "strange", False),
        ((), "expired", False),
    ],
)
def test_who_is_let_in(
    server: ServerFactory,
    clients: Clients,
    options: tuple[str, ...],
    name: str | None,
    is_let_in: bool,
    version: ssl.TLSVersion | None,
) -> None:
    options = tuple(str(clients.crl) if each == "CRL" else each for each in options)
    running = server(APP, "asgi", *clients.options(*options))
    if is_let_in:
        chain = ask(running, clients, name, version=version)["tls"]["client_cert_chain"]
        # OpenSSL adds the authority, which it knows.
        assert chain[:1] == ([clients.credentials[name].pem] if name else [])
    else:
        with pytest.raises(ssl.SSLError):
            ask(running, clients, name, version=version)


@pytest.mark.parametrize("version", [V12, None], ids=["tls12", "tls13"])
def test_a_client_without_its_certificate_sees_the_alert(
    server: ServerFactory, clients: Clients, version: ssl.TLSVersion | None
) -> None:
    """Not a reset, though it has sent more than the server has read."""
    running = server(APP, "asgi", *clients.options(*REQUIRED))
    made = context(clients.files.authority, version=version)
    for _ in range(20):
        with pytest.raises(ssl.SSLError, match="ALERT"), TlsWire(running, made) as wire:
            wire.socket.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
            wire.socket.recv(1)


def test_asgi_extension(server: ServerFactory, clients: Clients) -> None:
    running = server(APP, "asgi", *clients.options())
    known: Credential = clients.credentials["known"]
    assert ask(running, clients, "known")["tls"] == {
        "server_cert": clients.files.credential.pem,
        "client_cert_chain": [known.pem, clients.files.authority.pem],
        "client_cert_name": r"CN=Jane\, Doe",
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1301,
    }
    without = ask(running, clients, None, version=V12)["tls"]
    assert without == {
        "server_cert": clients.files.credential.pem,
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0303,
        "cipher_suite": 0xC02C,
    }


def test_asgi_extension_is_each_requests_own(server: ServerFactory, clients: Clients) -> None:
    running = server("asgi_probe:app", "asgi", *clients.options(), fresh=True)
    made = context(clients.files.authority)
    with TlsWire(running, made) as wire, TlsWire(running, made) as other:
        assert wire.request("GET", "/scope/spoil").response().status == 200
        first = json.loads(wire.request("GET", "/scope").response().body)["scope"]["extensions"]
        assert first["tls"]["tls_version"] == 0x0304
        assert "spoilt" not in first
        assert wire.request("GET", "/scope/spoil").response().status == 200
        for each in (wire, other):
            assert json.loads(each.request("GET", "/scope").response().body)["scope"]["extensions"] == first


def test_asgi_has_no_extension_in_plain(server: ServerFactory) -> None:
    seen = json.loads(server(APP, "asgi").get("/tls").body)
    assert seen == {"scheme": "http", "version": "1.1", "tls": None}


def test_rsgi_scope(server: ServerFactory, clients: Clients) -> None:
    running = server("tls_apps:rsgi", "rsgi", *clients.options())
    seen = ask(running, clients, "known")
    assert seen["scheme"] == "https"
    assert seen["tls"]["client_cert_name"] == r"CN=Jane\, Doe"
    assert seen["tls"]["client_cert_chain"] == [clients.credentials["known"].pem, clients.files.authority.pem]
    assert json.loads(server("tls_apps:rsgi", "rsgi").get("/").body)["tls"] is None


def test_wsgi_environ(server: ServerFactory, clients: Clients) -> None:
    running = server("tls_apps:wsgi", "wsgi", *clients.options())
    assert ask(running, clients, "known") == {
        "scheme": "https",
        "HTTPS": "on",
        "SSL_PROTOCOL": "TLSv1.3",
        "SSL_CIPHER": "TLS_AES_128_GCM_SHA256",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": clients.credentials["known"].pem,
        "SSL_CLIENT_S_DN": r"CN=Jane\, Doe",
        "SSL_CLIENT_S_DN_CN": "Jane, Doe",
        "SSL_CLIENT_I_DN": "CN=Test Authority",
        "SSL_CLIENT_M_SERIAL": format(clients.credentials["known"].certificate.serial_number, "X"),
    }
    without = ask(running, clients, None, version=V12)
    assert without == {
        "scheme": "https",
        "HTTPS": "on",
        "SSL_PROTOCOL": "TLSv1.2",
        "SSL_CIPHER": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    assert json.loads(server("tls_apps:wsgi", "wsgi").get("/").body) == {"scheme": "http"}


def test_resumed_sessions_know_their_client(server: ServerFactory, clients: Clients) -> None:
    running = server(APP, "asgi", *clients.options("--ssl-client-verify"), "--workers", "2")
    made = context(clients.files.authority, client=clients.path("known"))
    session = None
    for turn in range(8):
        with TlsWire(running, made, session=session) as wire:
            seen = json.loads(wire.request("GET", "/tls").response().body)
            assert seen["tls"]["client_cert_name"] == r"CN=Jane\, Doe"
            assert wire.socket.session_reused == (turn > 0)
            session = wire.session
