"""WSGI calls that take their time in different ways, and what thread they are on."""

import threading
import time

SEEN = threading.local()
TOGETHER = threading.Barrier(4)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = [b"ok"]
    if path == "/sleep":
        time.sleep(0.1)
    elif path == "/long":
        time.sleep(1)
    elif path == "/compute":
        end = time.monotonic() + 1
        while time.monotonic() < end:
            pass
    elif path == "/stream":
        body = (b"x" * 65536 for _ in range(1024))
    elif path == "/pieces":
        body = (b"x" * 8192 for _ in range(8192))
    elif path == "/count":
        SEEN.count = getattr(SEEN, "count", 0) + 1
        body = [f"{threading.get_ident()} {SEEN.count} {threading.current_thread().name}".encode()]
    elif path == "/threads":
        body = [" ".join(thread.name for thread in threading.enumerate()).encode()]
    elif path == "/meet":
        TOGETHER.wait(10)
    elif path == "/upload":
        body = [str(len(environ["wsgi.input"].read())).encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body
