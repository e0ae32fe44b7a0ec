"""HTTP/2: versions, settings, pings, and the ends of connections."""

from __future__ import annotations

import socket
import time

import pytest

from .conftest import ServerFactory
from .h2wire import PREFACE, H2Wire, frame
from .wire import DEADLINE

APP = "asgi_probe:app"
NO_ERROR, CALM = 0, 11


def test_http1_only_refuses_the_preface(server: ServerFactory) -> None:
    with server(APP, "asgi", "--http", "1").connect() as wire:
        wire.send(PREFACE)
        assert wire.response("GET").status in (400, 405, 505)


def test_http2_only_refuses_http1(server: ServerFactory) -> None:
    probe = server(APP, "asgi", "--http", "2")
    response = probe.get("/")
    assert (response.status, response.header("connection")) == (505, "close")
    with H2Wire(probe.address) as wire:
        assert wire.request("GET", "/").body == b"hello"
    with socket.create_connection(probe.address, timeout=DEADLINE) as garbage:  # type: ignore[arg-type]
        garbage.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert garbage.recv(1000) == b""


def test_settings(server: ServerFactory) -> None:
    options = {
        "--http2-initial-stream-window-size": 70_000,
        "--http2-max-concurrent-streams": 17,
        "--http2-max-frame-size": 20_000,
        "--http2-max-headers-size": 9_000,
        "--http2-initial-connection-window-size": 200_000,
    }
    given = [text for name, value in options.items() for text in (name, str(value))]
    with H2Wire(server(APP, "asgi", *given).address) as wire:
        wire.request("GET", "/")
        settings = wire.h2.remote_settings
        assert settings.initial_window_size == 70_000
        assert settings.max_concurrent_streams == 17
        assert settings.max_frame_size == 20_000
        assert settings.max_header_list_size == 9_000
        assert wire.h2.outbound_flow_control_window == 200_000


@pytest.mark.parametrize("size", [16 * 1024 * 1024, 300_000, 65_536])
def test_size_of_header_sections_is_the_one_given(server: ServerFactory, size: int) -> None:
    with H2Wire(server(APP, "asgi", "--http2-max-headers-size", str(size)).address) as wire:
        wire.request("GET", "/")
        assert wire.h2.remote_settings.max_header_list_size == size
        large = [(f"x-{number}", "v" * 10_000) for number in range(7)]
        assert wire.request("GET", "/", *large).status == (200 if size > 80_000 else 431)


@pytest.mark.parametrize("size", [1024, 5000, None])
def test_no_more_of_a_response_waits_in_the_codec_than_is_given(server: ServerFactory, size: int | None) -> None:
    options = [] if size is None else ["--http2-max-send-buffer-size", str(size)]
    with H2Wire(server(APP, "asgi", *options).address) as wire:
        answer = wire.request("GET", "/stream?n=4&size=50000&length")
        assert len(answer.body) == 200_000
        # The codec makes frames of the bytes that it holds.
        assert max(answer.pieces) == (size or wire.h2.max_inbound_frame_size)


def test_adaptive_windows_grow(server: ServerFactory) -> None:
    options = ["--http2-adaptive-window", "--http2-initial-stream-window-size", "20000"]
    with H2Wire(server(APP, "asgi", *options).address) as wire:
        body = b"x" * 3_000_000
        assert wire.request("POST", "/echo", body=body).body == body
        assert wire.h2.remote_settings.initial_window_size > 20_000


def test_keep_alive_pings(server: ServerFactory) -> None:
    options = ["--http2-keep-alive-interval", "100", "--http2-keep-alive-timeout", "1"]
    probe = server(APP, "asgi", *options)
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        begun = time.monotonic()
        while time.monotonic() - begun < 2:
            assert wire.step(), "a peer that answers was cut off"
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        wire.flush = lambda: None  # type: ignore[method-assign]
        begun = time.monotonic()
        wire.until_closed()
        assert 0.5 < time.monotonic() - begun < 5


# Ends.


def test_stop_lets_streams_finish(server: ServerFactory) -> None:
    probe = server(APP, fresh=True)
    with H2Wire(probe.address, greedy=False) as wire, H2Wire(probe.address) as idle:
        idle.request("GET", "/")
        number = wire.start("GET", "/stream?n=30&size=10000")
        while len(wire.answers[number].body) < 65_535:
            assert wire.step()
        probe.terminate()
        assert idle.until_closed() == NO_ERROR
        while wire.goaway is None:
            assert wire.step()
        wire.h2.increment_flow_control_window(1_000_000)
        wire.h2.increment_flow_control_window(1_000_000, number)
        wire.flush()
        assert len(wire.answer(number).body) == 300_000
        assert wire.until_closed() == NO_ERROR
        assert probe.wait_exit() == 0


def test_requests_that_cross_the_goaway_are_answered(server: ServerFactory) -> None:
    """The first GOAWAY names no stream, the last one comes when the peer has shown that it knows of it."""
    probe = server(APP, fresh=True)
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        probe.terminate()
        probe.wait_line("Stopping worker-1")
        assert wire.request("GET", "/").body == b"hello"
        assert wire.until_closed() == NO_ERROR
        assert probe.wait_exit() == 0


def test_stop_does_not_wait_for_a_peer_that_is_silent(server: ServerFactory) -> None:
    probe = server(APP, fresh=True)
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        probe.terminate()
        assert probe.wait_exit() == 0


TIMEOUT = ("--http1-header-read-timeout", "500")


@pytest.mark.parametrize("said", [b"", PREFACE[:10], PREFACE, PREFACE + frame(4, 0, 0)])
def test_a_silent_connection_times_out(server: ServerFactory, said: bytes) -> None:
    probe = server(APP, "asgi", *TIMEOUT)
    with socket.create_connection(probe.address, timeout=DEADLINE) as silent:  # type: ignore[arg-type]
        silent.sendall(said)
        begun = time.monotonic()
        while silent.recv(1000):
            pass
        assert 0.3 < time.monotonic() - begun < 4


def test_a_header_section_that_never_ends_times_out(server: ServerFactory) -> None:
    probe = server(APP, "asgi", *TIMEOUT)
    with H2Wire(probe.address) as wire:
        wire.request("GET", "/")
        wire.socket.sendall(frame(1, 1, 3, b"\x82"))
        assert wire.until_closed() == CALM
