"""Keys in every format, and what a server must not start with: one line says why, the exit code is 1."""

from __future__ import annotations

import datetime
import json
import os
import signal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from granian.config import Config
from granian.errors import ConfigurationError

from .certificates import Authority, Credential, encrypted, rsa_key
from .conftest import ServerFactory
from .test_http2_clients import run
from .tls import Files, TlsWire, context, port

APP = "tls_apps:asgi"
PASSWORD = "päss wörd"
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def rsa(files: Files) -> Credential:
    return files.authority.issue("localhost", key=rsa_key())


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["pkcs8", "traditional"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_keys(
    server: ServerFactory, files: Files, rsa: Credential, form: PrivateFormat, kind: str, is_encrypted: bool
) -> None:
    if is_encrypted and form is not PrivateFormat.PKCS8:
        pytest.skip("the contract has encrypted PKCS#8 only")
    credential = rsa if kind == "rsa" else files.credential
    name = f"{kind}-{form is PrivateFormat.PKCS8}-{is_encrypted}"
    key = files.write(f"{name}.key", credential.key_pem(form, encrypted(PASSWORD) if is_encrypted else None))
    certificate = files.write(f"{name}.pem", credential.pem)
    options = ["--ssl-certificate", str(certificate), "--ssl-keyfile", str(key)]
    options += ["--ssl-keyfile-password", PASSWORD] if is_encrypted else []
    running = server(APP, "asgi", *options, fresh=True)
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200


def test_password_by_environment(server: ServerFactory, files: Files) -> None:
    key = files.write("environment.key", files.credential.key_pem(encryption=encrypted(PASSWORD)))
    options = ("--ssl-certificate", str(files.certificate), "--ssl-keyfile", str(key))
    running = server(APP, "asgi", *options, env={"GRANIAN_SSL_KEYFILE_PASSWORD": PASSWORD}, fresh=True)
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_password_is_not_the_applications(server: ServerFactory, files: Files, interface: str) -> None:
    """It was in `os.environ`, and so in that of all that the application starts."""
    key = files.write("secret.key", files.credential.key_pem(encryption=encrypted(PASSWORD)))
    options = ("--ssl-certificate", str(files.certificate), "--ssl-keyfile", str(key))
    env = {"GRANIAN_SSL_KEYFILE_PASSWORD": PASSWORD, "GRANIAN_LOG_LEVEL": "debug"}
    running = server(f"tls_apps:{interface}", interface, *options, env=env, fresh=True)
    with TlsWire(running, context(files.authority)) as wire:
        names = json.loads(wire.request("GET", "/environment").response().body)
    assert "GRANIAN_LOG_LEVEL" in names
    assert "GRANIAN_SSL_KEYFILE_PASSWORD" not in names
    # The key is opened again.
    mark = running.mark()
    running.process.send_signal(signal.SIGHUP)
    running.wait_line("Stopped old worker-1", mark)
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200


def test_password_is_not_shown() -> None:
    config = Config.from_kwargs(target="a:b", ssl_key_password=PASSWORD)
    assert config.ssl_key_password == PASSWORD
    assert PASSWORD not in repr(config)


def test_key_in_the_certificates_file(server: ServerFactory, files: Files) -> None:
    both = str(files.write("both.pem", files.credential.key_pem() + files.credential.pem))
    running = server(APP, "asgi", "--ssl-certificate", both, "--ssl-keyfile", both, fresh=True)
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200


FAULTS = {
    "certificate without key": (["--ssl-certificate", "server.pem"], "--ssl-keyfile: "),
    "key without certificate": (["--ssl-keyfile", "server.key"], "--ssl-certificate: "),
    "verification without authorities": (["PAIR", "--ssl-client-verify"], "--ssl-client-verify: .*ssl_ca"),
    "revocations without authorities": (["PAIR", "--ssl-crl", "crl.pem"], "--ssl-crl: .*ssl_ca"),
    "expired": (
        ["--ssl-certificate", "old.pem", "--ssl-keyfile", "old.key"],
        "old.pem has expired",
    ),
    "another key": (["--ssl-certificate", "server.pem", "--ssl-keyfile", "old.key"], "--ssl-keyfile: .*is not the key"),
    "no certificate": (["--ssl-certificate", "server.key", "--ssl-keyfile", "server.key"], "has no certificate"),
    "no key": (["--ssl-certificate", "server.pem", "--ssl-keyfile", "server.pem"], "has no private key"),
    "no PEM": (["--ssl-certificate", "noise", "--ssl-keyfile", "server.key"], "--ssl-certificate: .*noise"),
    "broken PEM": (["--ssl-certificate", "broken.pem", "--ssl-keyfile", "server.key"], "--ssl-certificate: .*broken"),
    "broken key": (["--ssl-certificate", "server.pem", "--ssl-keyfile", "broken.key"], "--ssl-keyfile: .*broken"),
    "password missing": (["--ssl-certificate", "server.pem", "--ssl-keyfile", "locked.key"], "password is missing"),
    "password wrong": (
        ["--ssl-certificate", "server.pem", "--ssl-keyfile", "locked.key", "--ssl-keyfile-password", "wrong"],
        "--ssl-keyfile-password: .*locked.key is a key that ssl_key_password does not open",
    ),
    "old encryption": (
        ["--ssl-certificate", "server.pem", "--ssl-keyfile", "legacy.key", "--ssl-keyfile-password", PASSWORD],
        "--ssl-keyfile: .*PKCS#8",
    ),
    "no authorities": (["PAIR", "--ssl-ca", "server.key"], "--ssl-ca: "),
    "no revocations": (["PAIR", "--ssl-ca", "ca.pem", "--ssl-crl", "server.pem"], "--ssl-crl: "),
    "unknown cipher": (["PAIR", "--ssl-ciphers", "RC4-MD5"], "--ssl-ciphers: .*RC4-MD5"),
    "ciphers of no version": (["PAIR", "--ssl-ciphers", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "--ssl-ciphers: "),
    "no versions": (["PAIR", "--ssl-protocol-max", "tls1.2"], "--ssl-protocol-m(in|ax): "),
    "further certificate without key": (["PAIR", "--ssl-sni", "old.pem"], "--ssl-sni: "),
    "further certificate expired": (["PAIR", "--ssl-sni", "old.pem,old.key"], "--ssl-sni: .*old.pem has expired"),
    "further certificate with another key": (
        ["PAIR", "--ssl-sni", "server.pem,old.key"],
        "--ssl-sni: .*is not the key",
    ),
    "further certificate broken": (["PAIR", "--ssl-sni", "broken.pem,server.key"], "--ssl-sni: .*broken.pem"),
    "further key locked": (["PAIR", "--ssl-sni", "server.pem,locked.key"], "--ssl-sni: .*password is missing"),
    "further key with another password": (
        ["PAIR", "--ssl-sni", "server.pem,locked.key", "--ssl-keyfile-password", "wrong"],
        "--ssl-sni: .*locked.key is a key that ssl_key_password does not open",
    ),
    "redirects to nothing": (["--ssl-redirect-port", "0"], "--ssl-redirect-port: "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_at_start(launch: ServerFactory, files: Files, fault: str) -> None:
    lay_out(files)
    arguments, pattern = FAULTS[fault]
    options: list[str] = []
    for argument in arguments:
        known = [str(files.folder / part) for part in argument.split(",") if (files.folder / part).exists()]
        options += files.options if argument == "PAIR" else [",".join(known) or argument]
    # It has no terminal to ask: a prompt would fail otherwise than with the line below.
    failed = launch(APP, "asgi", *options)
    assert failed.wait_exit(10) == 1
    [line] = [line for line in failed.lines() if line]
    assert line.startswith("[ERROR] ")
    failed.wait_line(pattern)
    assert PASSWORD not in line


def lay_out(files: Files) -> None:
    """What the faults name."""
    if (files.folder / "noise").exists():
        return
    files.authority.issue("localhost", valid=-DAY).write(files.folder, "old")
    files.write("broken.pem", files.credential.pem.replace("M", "!", 3))
    files.write("broken.key", files.credential.key_pem()[:-40] + "\n-----END PRIVATE KEY-----\n")
    files.write("locked.key", files.credential.key_pem(encryption=encrypted(PASSWORD)))
    files.write("legacy.key", files.credential.key_pem(PrivateFormat.TraditionalOpenSSL, encrypted(PASSWORD)))
    files.write("crl.pem", files.authority.revocations())
    assert files.ca.exists()
    files.write("noise", "not a certificate")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(launch: ServerFactory, files: Files) -> None:
    key = files.write("secret.key", files.credential.key_pem())
    key.chmod(0)
    failed = launch(APP, "asgi", "--ssl-certificate", str(files.certificate), "--ssl-keyfile", str(key))
    assert failed.wait_exit(10) == 1
    failed.wait_line("--ssl-keyfile: .*secret.key")


def test_missing_files_and_folders(launch: ServerFactory, files: Files) -> None:
    for path in ("/nowhere/server.pem", str(files.folder)):
        failed = launch(APP, "asgi", "--ssl-certificate", path, "--ssl-keyfile", str(files.key))
        assert failed.wait_exit(10) != 0
        failed.wait_line(path)
        assert "Traceback" not in failed.log()


def test_the_constructor_raises(files: Files, tmp_path: Path) -> None:
    other = Authority().issue("localhost").write(tmp_path)
    with pytest.raises(ConfigurationError, match=r"ssl_key: .*is not the key of"):
        Config.from_kwargs(target="x:y", ssl_cert=files.certificate, ssl_key=other[1])
    with pytest.raises(ConfigurationError, match="ssl_client_verify"):
        Config.from_kwargs(target="x:y", ssl_cert=files.certificate, ssl_key=files.key, ssl_client_verify=True)


# Chains.


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 1, 3), (1, 3, 2, 0)])
def test_a_chain_in_any_order(server: ServerFactory, files: Files, order: tuple[int, ...]) -> None:
    """It goes out with the server's own certificate in front, each one certified by the next."""
    upper = Authority("Upper", above=files.authority)
    lower = Authority("Lower", above=upper)
    credential = lower.issue("localhost")
    chain = [credential.pem, lower.pem, upper.pem, Authority("Unrelated").pem]
    name = "chain-" + "".join(map(str, order))
    certificate = files.write(f"{name}.pem", "".join(chain[at] for at in order))
    key = files.write(f"{name}.key", credential.key_pem())
    running = server(APP, "asgi", "--ssl-certificate", str(certificate), "--ssl-keyfile", str(key), fresh=True)
    with TlsWire(running, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200
    sent = run("openssl", "s_client", "-connect", f"127.0.0.1:{port(running)}", "-showcerts")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n"
    found = [begin + part.split(end)[0] + end for part in sent.split(begin)[1:]]
    assert found[:4] == chain
