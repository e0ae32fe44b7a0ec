"""Authorities, certificates, keys and revocation lists for tests, made as they are asked for."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Credential:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @cached_property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def key_pem(
        self, format: PrivateFormat = PrivateFormat.PKCS8, encryption: KeySerializationEncryption | None = None
    ) -> str:
        return self.key.private_bytes(Encoding.PEM, format, encryption or NoEncryption()).decode()

    def write(self, folder: Path, name: str = "server") -> tuple[Path, Path]:
        """The paths of the certificate and of the key."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_text(self.pem)
        key.write_text(self.key_pem())
        return certificate, key


class Authority:
    """Issues certificates."""

    def __init__(self, name: str = "Test Authority", above: Authority | None = None) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        signer = above.credential if above is not None else None
        issuer = signer.certificate.subject if signer is not None else _name(name)
        builder = _builder(_name(name), issuer, key, DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(self._identifier, critical=False)
        self.credential = Credential(builder.sign(signer.key if signer is not None else key, hashes.SHA256()), key)

    @property
    def pem(self) -> str:
        return self.credential.pem

    def issue(
        self, *hosts: str, subject: str | None = None, valid: datetime.timedelta = DAY, key: Key | None = None
    ) -> Credential:
        """For these hosts; `subject` is the common name, the first host if it is not given."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        own = self.credential
        builder = _builder(_name(subject or hosts[0]), own.certificate.subject, key, valid)
        names: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(host)) if host[-1].isdigit() else x509.DNSName(host) for host in hosts
        ]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        builder = builder.add_extension(above, critical=False)
        return Credential(builder.sign(own.key, hashes.SHA256()), key)

    def revocations(self, *revoked: Credential) -> str:
        """A list of these, PEM."""
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.credential.certificate.subject)
        builder = builder.last_update(now - DAY).next_update(now + DAY)
        above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        builder = builder.add_extension(above, critical=False).add_extension(x509.CRLNumber(1), critical=False)
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - DAY).build())
        return builder.sign(self.credential.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def encrypted(password: str) -> KeySerializationEncryption:
    return BestAvailableEncryption(password.encode())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, valid: datetime.timedelta) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - 2 * DAY).not_valid_after(now + valid)
