"""HTTP/2 as the usual clients speak it: curl, nghttp, h2load, httpx, and gRPC."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from .conftest import ServerFactory
from .h2wire import H2Wire
from .server import Server, script
from .wire import DEADLINE

GRPC = ("content-type", "application/grpc"), ("te", "trailers")


@pytest.fixture
def probe(server: ServerFactory) -> Server:
    return server("asgi_probe:app")


@pytest.fixture
def service(server: ServerFactory) -> Server:
    return server("grpc_app:app")


def run(*command: str, body: bytes = b"") -> str:
    """What the program says; it must end well."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, input=body, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode()


def test_curl(probe: Server) -> None:
    curl = ["curl", "--http2-prior-knowledge", "--silent", "--show-error", "--max-time", "20"]
    assert run(*curl, "--include", probe.url).startswith("HTTP/2 200 \r\n")
    assert run(*curl, "--head", probe.url).count("content-length: 5") == 1
    body = "x" * 1_000_000
    assert run(*curl, "--data-binary", "@-", f"{probe.url}/echo", body=body.encode()) == body
    # It is reset for no reason that curl would report (RFC 9113, 8.1), though the body was not read.
    assert run(*curl, "--data-binary", "@-", probe.url, body=body.encode()) == "hello"
    for code in (204, 304):
        assert run(*curl, "--write-out", "%{http_code}", f"{probe.url}/status?code={code}") == str(code)


def test_nghttp(probe: Server) -> None:
    hint = "await send({'type': 'http.response.early_hint', 'links': [b'</a.css>; rel=preload']})"
    steps = script(hint, "await start()", "await body(b'x')")
    said = run("nghttp", "--verbose", "--no-dep", "--header", steps, f"{probe.url}/script")
    assert ":status: 103" in said
    assert said.index("link: </a.css>; rel=preload") < said.index(":status: 200")


def test_h2load(probe: Server) -> None:
    said = run("h2load", "-n", "2000", "-c", "4", "-m", "50", f"{probe.url}/stream?n=3&size=2000")
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in said
    assert "status codes: 2000 2xx" in said
    assert "(12000000) data" in said


def test_httpx(probe: Server) -> None:
    with httpx.Client(http1=False, http2=True, base_url=probe.url, timeout=DEADLINE) as client:
        for _ in range(3):
            response = client.post("/echo", content=b"x" * 500_000)
            assert (response.http_version, response.content) == ("HTTP/2", b"x" * 500_000)


# gRPC, frame by frame.


def message(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


def test_a_grpc_call(service: Server) -> None:
    with H2Wire(service.address) as wire:
        answer = wire.request("POST", "/echo.Echo/Unary", *GRPC, body=message(b"hi"))
        assert (answer.status, answer.header("content-type")) == (200, "application/grpc")
        assert answer.body == message(b"hi")
        assert answer.trailers == [("grpc-status", "0"), ("grpc-message", "")]


def test_grpc_messages_pass_each_other(service: Server) -> None:
    with H2Wire(service.address) as wire:
        number = wire.start("POST", "/echo.Echo/Chat", *GRPC, end=False)
        for count in range(1, 6):
            wire.data(number, message(b"hello"))
            while wire.answers[number].body != message(b"hello") * count:
                assert wire.step()
        wire.data(number, b"", end=True)
        assert wire.answer(number).trailers[0] == ("grpc-status", "0")


def test_a_grpc_call_that_fails(service: Server) -> None:
    with H2Wire(service.address) as wire:
        answer = wire.request("POST", "/echo.Echo/Fail", *GRPC, body=message(b""))
        assert (answer.status, answer.body) == (200, b"")
        assert answer.trailers == [("grpc-status", "5"), ("grpc-message", "nothing here")]


def test_grpcio(service: Server) -> None:
    """The client that most services are called with, where it is installed."""
    grpc = pytest.importorskip("grpc")
    assert isinstance(service.address, tuple)
    with grpc.insecure_channel(f"127.0.0.1:{service.address[1]}") as channel:
        large = b"x" * 1_000_000
        assert channel.unary_unary("/echo.Echo/Unary")(large, timeout=DEADLINE) == large
        assert list(channel.unary_stream("/echo.Echo/Count")(b"500", timeout=DEADLINE)) == [b"500"] * 500

        def questions() -> Iterator[bytes]:
            yield from (b"%d" % number for number in range(100))

        answers = channel.stream_stream("/echo.Echo/Chat")(questions(), timeout=DEADLINE)
        assert list(answers) == list(questions())
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/echo.Echo/Fail")(b"", timeout=DEADLINE)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        assert raised.value.details() == "nothing here"
