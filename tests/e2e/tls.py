"""Clients that speak TLS, and what they trust."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .certificates import Authority, Credential
from .server import Server
from .wire import DEADLINE, Wire


@dataclass(frozen=True)
class Files:
    """The TLS options of a server of the tests."""

    folder: Path
    authority: Authority
    credential: Credential
    certificate: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        return ("--ssl-certificate", str(self.certificate), "--ssl-keyfile", str(self.key))

    @property
    def ca(self) -> Path:
        path = self.folder / "ca.pem"
        if not path.exists():
            path.write_text(self.authority.pem)
        return path

    @classmethod
    def make(cls, folder: Path) -> Files:
        authority = Authority()
        credential = authority.issue("localhost", "127.0.0.1")
        return cls(folder, authority, credential, *credential.write(folder))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


def context(
    authority: Authority,
    alpn: tuple[str, ...] = (),
    version: ssl.TLSVersion | None = None,
    client: tuple[Path, Path] | None = None,
) -> ssl.SSLContext:
    """A client's, that trusts nobody but `authority`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=authority.pem)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if client is not None:
        made.load_cert_chain(*client)
    return made


class TlsWire(Wire):
    """A `Wire` on a TLS connection."""

    def __init__(
        self,
        server: Server,
        context: ssl.SSLContext,
        host: str = "localhost",
        session: ssl.SSLSession | None = None,
        abrupt: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(server.address, **more)
        plain = self.socket
        try:
            self.socket: ssl.SSLSocket = context.wrap_socket(
                plain, server_hostname=host, session=session, suppress_ragged_eofs=not abrupt
            )
        except BaseException:
            plain.close()
            raise

    @property
    def session(self) -> ssl.SSLSession | None:
        return self.socket.session

    def certificate(self) -> bytes:
        """The server's, DER."""
        found = self.socket.getpeercert(binary_form=True)
        assert found is not None
        return found


class Records:
    """The records of a TLS 1.3 client after its handshake, with AES-128 (RFC 8446, 5.2)."""

    def __init__(self, secret: bytes) -> None:
        self._use(secret)

    @classmethod
    def of(cls, keylog: Path) -> Records:
        """By the only connection that `keylog` is of."""
        (secret,) = (
            line.split()[2] for line in keylog.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")
        )
        return cls(bytes.fromhex(secret))

    def record(self, data: bytes, kind: int = 23) -> bytes:
        inner = data + bytes([kind])
        head = struct.pack("!BHH", 23, 0x0303, len(inner) + 16)
        nonce = (self._iv ^ self._count).to_bytes(12, "big")
        self._count += 1
        return head + self._cipher.encrypt(nonce, inner, head)

    def key_update(self) -> bytes:
        """From now on there are other keys; none are asked for in return."""
        record = self.record(b"\x18\0\0\1\0", kind=22)
        self._use(self._expand(b"traffic upd", 32))
        return record

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = AESGCM(self._expand(b"key", 16))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")
        self._count = 0

    def _expand(self, label: bytes, length: int) -> bytes:
        info = struct.pack("!HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
        return HKDFExpand(hashes.SHA256(), length, info).derive(self._secret)


def plain(server: Server) -> socket.socket:
    """A connection on which nothing has been said."""
    return socket.create_connection(server.address, timeout=DEADLINE)  # type: ignore[arg-type]


def port(server: Server) -> int:
    assert isinstance(server.address, tuple)
    return server.address[1]
