"""`granian.binding`: addresses as they are written, and what stands in the way of listening there."""

import os
import socket
import stat

import pytest

from granian.binding import Address, Kind, bind_sibling, bind_tcp, bind_unix, take_given
from granian.errors import ConfigurationError

BACKLOG = 128
needs_reuseport = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT here")


@pytest.fixture
def listening():
    """`listening(sockets)`: gives them back and closes them in the end."""
    kept = []

    def keep(sockets):
        kept.extend(sockets)
        return sockets

    yield keep
    for item in kept:
        item.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", Address(Kind.TCP, host="127.0.0.1", port=80)),
        ("tcp://localhost:80", Address(Kind.TCP, host="localhost", port=80)),
        ("[::1]:8000", Address(Kind.TCP, host="::1", port=8000)),
        (":8000", Address(Kind.TCP, host="0.0.0.0", port=8000)),
        ("unix:/run/x", Address(Kind.UNIX, path="/run/x")),
        ("unix:///run/x", Address(Kind.UNIX, path="/run/x")),
        ("unix:@name", Address(Kind.ABSTRACT, path="name")),
        ("fd:3", Address(Kind.FD, fd=3)),
        ("fd://3", Address(Kind.FD, fd=3)),
    ],
)
def test_address(text, expected):
    assert Address.parse(text) == expected


def test_relative_path_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Address.parse("unix:x") == Address(Kind.UNIX, path=str(tmp_path / "x"))


@pytest.mark.parametrize("text", ["", "localhost", "unix:", "fd:x", "127.0.0.1:http"])
def test_what_is_no_address(text):
    with pytest.raises(ConfigurationError) as caught:
        Address.parse(text)
    assert caught.value.option == "bind"
    assert repr(text) in caught.value.message


def tcp(host="127.0.0.1", port=0):
    return Address(Kind.TCP, host=host, port=port)


def test_free_port(listening):
    [listener] = listening(bind_tcp(tcp(), BACKLOG))
    host, port = listener.getsockname()
    assert host == "127.0.0.1" and port > 0
    assert not listener.getblocking()
    assert not listener.get_inheritable()
    socket.create_connection((host, port)).close()


def test_every_address_of_a_name_has_the_same_port(listening):
    bound = listening(bind_tcp(tcp("localhost"), BACKLOG))
    assert len({listener.getsockname()[1] for listener in bound}) == 1


def test_second_instance_is_refused(listening):
    [listener] = listening(bind_tcp(tcp(), BACKLOG))
    with pytest.raises(ConfigurationError, match="the address is in use"):
        bind_tcp(tcp(port=listener.getsockname()[1]), BACKLOG)


@needs_reuseport
def test_second_instance_is_refused_beside_many_sockets(listening):
    [first] = listening(bind_tcp(tcp(), BACKLOG))
    listening([bind_sibling(first, BACKLOG) for _ in range(3)])
    with pytest.raises(ConfigurationError, match="the address is in use"):
        bind_tcp(tcp(port=first.getsockname()[1]), BACKLOG)


@needs_reuseport
def test_siblings_share_the_port(listening):
    [first] = listening(bind_tcp(tcp(), BACKLOG))
    [second] = listening([bind_sibling(first, BACKLOG)])
    assert first.getsockname() == second.getsockname()
    assert not second.getblocking()


@pytest.mark.skipif(not hasattr(socket, "TCP_CONGESTION"), reason="the system has no such option")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0"])
def test_segments_to_the_same_machine_are_not_paced(listening, host):
    def congestion_control(of):
        return of.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")

    with socket.socket() as plain:
        usual = congestion_control(plain)
    expected = usual if host == "0.0.0.0" else b"reno"
    [first] = listening(bind_tcp(tcp(host), BACKLOG))
    assert congestion_control(first) == expected
    with socket.create_connection(first.getsockname()[:2]):
        first.setblocking(True)
        connection, _ = first.accept()
        with connection:
            assert congestion_control(connection) == expected
    [second] = listening([bind_sibling(first, BACKLOG)])
    assert congestion_control(second) == expected


@pytest.mark.parametrize(
    ("address", "option"),
    [(tcp(port=70_000), "port"), (tcp("no.such.name.invalid"), "address"), (tcp("192.0.2.1"), "address")],
)
def test_address_that_cannot_be_had(address, option):
    with pytest.raises(ConfigurationError) as caught:
        bind_tcp(address, BACKLOG)
    assert caught.value.option == option


def test_unix_socket(tmp_path, listening):
    path = tmp_path / "socket"
    listening([bind_unix(str(path), BACKLOG, 0o600)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_stale_unix_socket_is_replaced(tmp_path, listening):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    listening([bind_unix(str(path), BACKLOG, None)])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_live_unix_socket_is_refused(tmp_path, listening):
    path = tmp_path / "socket"
    listening([bind_unix(str(path), BACKLOG, None)])
    with pytest.raises(ConfigurationError, match="another server is listening there"):
        bind_unix(str(path), BACKLOG, None)
    assert path.exists()


def test_file_that_is_no_socket_stays(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="no socket"):
        bind_unix(str(path), BACKLOG, None)
    assert path.read_text() == "precious"


def test_unix_socket_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        bind_unix(str(tmp_path / "absent" / "socket"), BACKLOG, None)
    assert caught.value.option == "uds"


def test_given_descriptor(listening):
    with socket.create_server(("127.0.0.1", 0)) as given:
        [taken] = listening([take_given(given.fileno(), BACKLOG)])
        assert taken.fileno() != given.fileno()
        assert taken.getsockname() == given.getsockname()


def test_given_descriptor_that_only_is_bound(listening):
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        [taken] = listening([take_given(given.fileno(), BACKLOG)])
        socket.create_connection(taken.getsockname()).close()


def test_given_descriptor_that_is_no_stream_socket():
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with datagrams, pytest.raises(ConfigurationError, match="no stream socket"):
        take_given(datagrams.fileno(), BACKLOG)


def test_given_descriptor_that_is_no_socket():
    reader, writer = os.pipe()
    try:
        with pytest.raises(ConfigurationError, match="no socket"):
            take_given(reader, BACKLOG)
    finally:
        os.close(reader)
        os.close(writer)
