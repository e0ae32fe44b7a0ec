"""Enums, settings, errors, and the names that applications import."""

import pytest

import granian
from granian import constants, errors, http, rsgi


@pytest.mark.parametrize(
    ("enum", "values"),
    [
        ("Interfaces", {"AUTO": "auto", "ASGI": "asgi", "ASGINL": "asginl", "RSGI": "rsgi", "WSGI": "wsgi"}),
        ("HTTPModes", {"auto": "auto", "http1": "1", "http2": "2"}),
        ("RuntimeModes", {"auto": "auto", "mt": "mt", "st": "st"}),
        ("Loops", {name: name for name in ("auto", "asyncio", "rloop", "uvloop", "winloop")}),
        ("Overload", {"off": "off", "auto": "auto"}),
        ("TaskImpl", {"asyncio": "asyncio", "rust": "rust"}),
        ("SSLProtocols", {"tls12": "tls1.2", "tls13": "tls1.3"}),
    ],
)
def test_enums(enum, values):
    found = getattr(constants, enum)
    assert {member.name: member.value for member in found} == values
    for member in found:
        assert str(member) == f"{member}" == f"{member:s}" == member.value
        assert member == member.value
        assert {member: 1}[member.value] == 1
        assert isinstance(member, constants.StrEnum)


def test_http_settings():
    assert http.HTTP1Settings() == http.HTTP1Settings(
        header_read_timeout=30000, keep_alive=True, max_buffer_size=417792, pipeline_flush=False
    )
    assert http.HTTP2Settings() == http.HTTP2Settings(
        adaptive_window=False,
        initial_connection_window_size=1048576,
        initial_stream_window_size=1048576,
        keep_alive_interval=None,
        keep_alive_timeout=20,
        idle_timeout=180,
        max_concurrent_streams=200,
        max_frame_size=16384,
        max_headers_size=65536,
        max_send_buffer_size=409600,
    )


def test_errors():
    assert issubclass(errors.ConfigurationError, errors.FatalError)
    assert issubclass(errors.PidFileError, errors.FatalError)
    assert issubclass(errors.FatalError, Exception)
    assert errors.ConfigurationError("port").args == ("port",)


def test_rsgi_names():
    assert issubclass(rsgi.ProtocolError, RuntimeError)
    assert issubclass(rsgi.ProtocolClosed, RuntimeError)
    assert {member.name: int(member) for member in rsgi.WebsocketMessageType} == {"close": 0, "bytes": 1, "string": 2}
    for name in ("Scope", "Headers", "HTTPProtocol", "WebsocketProtocol", "WebsocketMessage"):
        assert isinstance(getattr(rsgi, name), type)


def test_package():
    assert set(granian.__all__) == {"__version__", "loops", "Granian"}
    assert granian.__version__.startswith("3.")
    assert granian.Granian is granian.server.Server
