"""TLS connections for one request each: a load of its own process, which prints what wrk.lua prints.

And the certificate that secured servers are measured with.
"""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

CLIENTS = 8
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

FOLDER = Path(__file__).resolve().parent.parent / ".build" / "tls"


def identity(options: tuple[str, str]) -> tuple[str, ...]:
    """The arguments that secure a server: with a P-256 certificate, which is made once."""
    certificate, key = FOLDER / "certificate.pem", FOLDER / "key.pem"
    if not certificate.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-subj", "/CN=localhost", "-days", "3650", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
    return (options[0], str(certificate), options[1], str(key))


class Clients:
    """As many as there are threads; each connects as soon as its connection before has ended."""

    def __init__(self, port: int, end: float, resumed: bool) -> None:
        self.times: list[float] = []
        self.received = self.errors = self.bad = 0
        self._port = port
        self._end = end
        self._resumed = resumed

    def run(self) -> None:
        """One client; resumes the session of its connection before, if that is asked for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        session: ssl.SSLSession | None = None
        while (begin := time.monotonic()) < self._end:
            try:
                plain = socket.create_connection(("127.0.0.1", self._port), 5)
                with context.wrap_socket(plain, server_hostname="localhost", session=session) as secured:
                    secured.sendall(REQUEST)
                    answer = b""
                    while data := secured.recv(65536):
                        answer += data
                    is_as_asked = secured.session_reused is (session is not None)
                    self.bad += not (is_as_asked and answer.startswith(b"HTTP/1.1 200"))
                    session = secured.session if self._resumed else None
            except OSError:
                self.errors += 1
                continue
            self.received += len(answer)
            self.times.append(time.monotonic() - begin)


def main(port: int, seconds: float, resumed: bool) -> None:
    """Connects for so long and says what came of it."""
    start = time.monotonic()
    clients = Clients(port, start + seconds, resumed)
    threads = [threading.Thread(target=clients.run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(clients.times)
    summary = {
        "requests": len(times),
        "duration_us": (time.monotonic() - start) * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6 if times else 0,
        "bytes": clients.received,
        "errors": clients.errors,
        "bad_status": clients.bad,
    }
    print("SUMMARY " + json.dumps(summary))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "resumed")
