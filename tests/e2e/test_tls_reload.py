"""Certificates that change under a running server, and sessions that are resumed across workers."""

from __future__ import annotations

import datetime
import json
import os
import signal
import ssl
import threading
import time
from pathlib import Path

import pytest

from .certificates import Authority, Credential
from .conftest import ServerFactory
from .server import Server
from .test_http2_clients import run
from .tls import Files, TlsWire, context

APP = "tls_apps:asgi"
NEWS = r"Certificates have changed"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.make(tmp_path)


def replace(credential: Credential, files: Files) -> None:
    """As careful tools do it: each file appears whole, the pair does not appear at once."""
    for path, text in ((files.certificate, credential.pem), (files.key, credential.key_pem())):
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, path)


def shows(server: Server, files: Files) -> bytes:
    with TlsWire(server, context(files.authority)) as wire:
        assert wire.request("GET", "/").response().status == 200
        return wire.certificate()


def der(credential: Credential) -> bytes:
    return ssl.PEM_cert_to_DER_cert(credential.pem)


def until_shown(server: Server, files: Files, credential: Credential) -> None:
    """All workers, sooner or later: connections go to either."""
    in_a_row = 0
    while in_a_row < 8:
        in_a_row = in_a_row + 1 if shows(server, files) == der(credential) else 0


def test_changed_files(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, "--workers", "2", fresh=True)
    pids = running.log().count("Spawning")
    with TlsWire(running, context(files.authority)) as kept:
        assert kept.request("GET", "/").response().status == 200
        assert kept.certificate() == der(files.credential)
        renewed = files.authority.issue("localhost")
        replace(renewed, files)
        running.wait_line(NEWS)
        until_shown(running, files, renewed)
        # Connections outlive their certificate, workers theirs.
        assert kept.request("GET", "/").response().status == 200
    assert running.log().count("Spawning") == pids
    assert "stay as they were" not in running.log()


def test_changed_files_that_are_wrong(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, fresh=True)
    files.key.write_text(Authority().issue("localhost").key_pem())
    running.wait_line(r"The certificates stay as they were: ssl_key: .*is not the key of")
    assert shows(running, files) == der(files.credential)
    files.key.unlink()
    running.wait_line(r"The certificates stay as they were: ssl_key: .*can't be read")
    assert shows(running, files) == der(files.credential)
    renewed = files.authority.issue("localhost")
    replace(renewed, files)
    running.wait_line(NEWS)
    until_shown(running, files, renewed)
    assert running.log().count("stay as they were") == 2


def test_hup_reads_the_files(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, fresh=True)
    renewed = files.authority.issue("localhost")
    replace(renewed, files)
    running.process.send_signal(signal.SIGHUP)
    running.wait_line(r"Stopped old worker-1")
    assert shows(running, files) == der(renewed)


def test_a_worker_comes_back_although_its_certificate_is_out_of_date(server: ServerFactory, files: Files) -> None:
    """A server does not start with what has expired; one that runs must not go under with it."""
    running = server(APP, "asgi", *files.options, fresh=True)
    os.kill(running.worker, signal.SIGSTOP)
    replace(files.authority.issue("localhost", valid=-datetime.timedelta(hours=1)), files)
    os.kill(running.worker, signal.SIGKILL)
    running.wait_line(r"Respawning worker-1")
    made = context(files.authority)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    with TlsWire(running, made) as wire:
        assert wire.request("GET", "/").response().status == 200


@pytest.mark.parametrize("how", ["files", "hup"])
def test_reload_under_load_loses_nothing(server: ServerFactory, files: Files, how: str) -> None:
    running = server(APP, "asgi", *files.options, "--workers", "2", fresh=True)
    over = threading.Event()
    faults: list[str] = []
    counts = [0] * 6

    def keep_asking(number: int) -> None:
        """Half of them on connections of their own, half on ones that are kept open."""
        made = context(files.authority, version=ssl.TLSVersion.TLSv1_3)
        wire: TlsWire | None = None
        while not over.is_set():
            try:
                wire = wire or TlsWire(running, made)
                answer = wire.request("POST", "/echo", body=b"x" * 2000).response()
                assert answer.body == b"x" * 2000, answer
                counts[number] += 1
                if number % 2 or answer.header("connection") == "close":
                    wire.close()
                    wire = None
            except Exception as error:
                faults.append(f"{type(error).__name__}: {error}")
                return
        if wire is not None:
            wire.close()

    running.wait_line("Started worker-2")
    threads = [threading.Thread(target=keep_asking, args=(number,), daemon=True) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            since = running.mark()
            replace(files.authority.issue("localhost"), files)
            if how == "files":
                running.wait_line(NEWS, since)
            else:
                running.process.send_signal(signal.SIGHUP)
                running.wait_line(r"Stopped old worker-2", since, timeout=20)
        # Starting workers leaves a small machine little time for clients.
        deadline = time.monotonic() + 20
        while min(counts) <= 2 and not faults:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert faults == []


def test_a_key_that_takes_long_to_open_holds_up_nobody(server: ServerFactory, files: Files) -> None:
    key = files.write("slow.key", slow_to_open(files.credential))
    options = (
        "--ssl-certificate",
        str(files.certificate),
        "--ssl-keyfile",
        str(key),
        "--ssl-keyfile-password",
        "password",
    )
    running = server(APP, "asgi", *options, fresh=True)
    with TlsWire(running, context(files.authority)) as wire:
        before = wire.certificate()
        following = files.authority.issue("localhost")
        key.write_text(slow_to_open(following))
        files.certificate.write_text(following.pem)
        running.wait_line(NEWS)
        answers = 0
        while shows(running, files) == before:
            assert wire.request("GET", "/").response().status == 200
            answers += 1
    assert answers > 3


def slow_to_open(credential: Credential) -> str:
    command = ("openssl", "pkcs8", "-topk8", "-iter", "1000000", "-passout", "pass:password")
    return run(*command, body=credential.key_pem().encode())


# Sessions.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_any_worker(server: ServerFactory, files: Files, version: ssl.TLSVersion) -> None:
    running = server(APP, "asgi", *files.options, "--ssl-protocol-min", "tls1.2", "--workers", "2")
    made = context(files.authority, version=version)
    session = None
    for turn in range(16):
        with TlsWire(running, made, session=session) as wire:
            assert wire.request("GET", "/").response().status == 200
            assert wire.socket.session_reused == (turn > 0)
            session = wire.session


def test_sessions_outlive_workers(server: ServerFactory, files: Files) -> None:
    running = server(APP, "asgi", *files.options, fresh=True)
    made = context(files.authority)
    with TlsWire(running, made) as wire:
        assert wire.request("GET", "/").response().status == 200
        session = wire.session
    running.process.send_signal(signal.SIGHUP)
    running.wait_line(r"Stopped old worker-1")
    with TlsWire(running, made, session=session) as wire:
        assert wire.socket.session_reused


def test_revocation_voids_sessions(server: ServerFactory, files: Files) -> None:
    """A ticket must not let in whom the revocation list has come to name."""
    client = files.authority.issue("client.test")
    paths = client.write(files.folder, "client")
    crl = files.write("crl.pem", files.authority.revocations())
    more = ("--ssl-ca", str(files.ca), "--ssl-client-verify", "--ssl-crl", str(crl), "--ssl-protocol-min", "tls1.2")
    running = server(APP, "asgi", *files.options, *more, fresh=True)
    made = context(files.authority, client=paths, version=ssl.TLSVersion.TLSv1_2)
    with TlsWire(running, made) as wire:
        assert json.loads(wire.request("GET", "/tls").response().body)["tls"]["client_cert_name"] == "CN=client.test"
        session = wire.session
    with TlsWire(running, made, session=session) as wire:
        assert wire.socket.session_reused
    crl.write_text(files.authority.revocations(client))
    running.wait_line(NEWS)
    with pytest.raises(ssl.SSLError, match=r"(?i)revoked"):
        until_refused(running, made, session)


def until_refused(server: Server, made: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
    while True:
        with TlsWire(server, made, session=session) as wire:
            assert wire.request("GET", "/").response().status == 200


def test_tickets_are_not_the_next_servers(server: ServerFactory, files: Files) -> None:
    made = context(files.authority)
    first, second = (server(APP, "asgi", *files.options, fresh=True) for _ in range(2))
    with TlsWire(first, made) as wire:
        assert wire.request("GET", "/").response().status == 200
        session = wire.session
    with TlsWire(second, made, session=session) as wire:
        assert not wire.socket.session_reused
        assert wire.request("GET", "/").response().status == 200
