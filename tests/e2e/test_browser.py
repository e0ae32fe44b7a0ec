"""Headless Chromium: pages, uploads, streams and websockets, in plain and over TLS, HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt install chromium)")


@contextmanager
def browsing(url: str, folder: Path, certificate: Sequence[str] = ()) -> Iterator[None]:
    """A browser that has the page open, and trusts the certificate."""
    command = [str(CHROMIUM), *OPTIONS, "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    if certificate:
        # Not --ignore-certificate-errors: a page with errors has no cache, and early hints none to go into.
        command.append(f"--ignore-certificate-errors-spki-list={pin(Path(certificate[1]))}")
    command.append(url)
    # Its own processes are a session, so that all of them end.
    browser = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


def pin(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[str, ...]:
    """The options for TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    names = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", *names]
    subprocess.run(command, check=True, capture_output=True)
    return ("--ssl-certificate", names[3], "--ssl-keyfile", names[1])


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("scheme", "version"), [("http", "1.1"), ("https", "2")])
def test_websockets(server, loop, tmp_path, request, scheme, version):
    options = request.getfixturevalue("certificate") if scheme == "https" else ()
    app = server("ws_browser:app", "asginl", *options, loop=loop)
    mark = app.mark()
    with browsing(app.url.replace("http", scheme), tmp_path, options):
        # The page refreshes itself first: the websocket of the old one is gone, and nothing else happens.
        gone = json.loads(app.wait_line(r"@gone (.*)$", mark, timeout=50)[1])
        assert gone[0] == version
        assert gone[1] in (1001, 1005, 1006)
        seen = json.loads(app.wait_line(r"@report (.*)$", mark, timeout=50)[1])
    assert seen.pop("extensions").startswith("permessage-deflate")
    assert seen == {
        "protocol": "chat",
        "text": True,
        "bytes": True,
        "own": [3001, "bye", True],
        "theirs": [4000, "enough", True],
        "refused": "refused",
    }


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("scheme", "options", "protocol"),
    [("http", (), "http/1.1"), ("https", ("--http", "1"), "http/1.1"), ("https", (), "h2")],
    ids=["plain", "tls-http1", "tls-http2"],
)
def test_fetches(server, loop, tmp_path, request, scheme, options, protocol):
    secured = request.getfixturevalue("certificate") if scheme == "https" else ()
    app = server("fetch_browser:app", "asginl", *secured, *options, loop=loop)
    mark = app.mark()
    with browsing(app.url.replace("http", scheme), tmp_path, secured):
        seen = json.loads(app.wait_line(r"@report (.*)$", mark, timeout=50)[1])
    assert seen == {
        "version": protocol,
        # Chromium takes hints over HTTP/2 only.
        "style": "early-hints" if protocol == "h2" else "link",
        "json": {"scheme": scheme, "version": "2" if protocol == "h2" else "1.1", "query": "a=b"},
        "upload": True,
        "stream": ["first", "second", True],
        "cut": "cut",
        "missing": 404,
    }
