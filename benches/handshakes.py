"""TLS connections one after the other, each for one request: a load of its own process, which prints what wrk.lua
prints. And the certificate that secured servers are measured with."""

import json
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

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


def main(port: int, seconds: float, resumed: bool) -> None:
    """Connects for so long; resumes the session of the connection before, if that is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    session: ssl.SSLSession | None = None
    times: list[float] = []
    received = errors = bad = 0
    start = time.monotonic()
    while (begin := time.monotonic()) - start < seconds:
        try:
            plain = socket.create_connection(("127.0.0.1", port), 5)
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as secured:
                secured.sendall(REQUEST)
                answer = b""
                while data := secured.recv(65536):
                    answer += data
                bad += not answer.startswith(b"HTTP/1.1 200") or secured.session_reused is not (session is not None)
                session = secured.session if resumed else None
        except OSError:
            errors += 1
            continue
        received += len(answer)
        times.append(time.monotonic() - begin)
    spent = time.monotonic() - start
    times.sort()
    p99 = times[len(times) * 99 // 100] if times else 0
    summary = {"requests": len(times), "duration_us": spent * 1e6, "p99_us": p99 * 1e6}
    print("SUMMARY " + json.dumps({**summary, "bytes": received, "errors": errors, "bad_status": bad}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "resumed")
