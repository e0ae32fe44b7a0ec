"""Listening sockets: addresses, refusals, permissions, one per slot."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys

import pytest

from granian import sockets as sockets_module
from granian.binding import Address, Kind
from granian.errors import ConfigurationError
from granian.sockets import Listeners, inherited_descriptors

LOCAL = Address(Kind.TCP, host="127.0.0.1")
linux = pytest.mark.skipif(sys.platform != "linux", reason="SO_REUSEPORT that spreads, abstract names")


def opened(*addresses: Address, slots: int = 1, backlog: int = 128, **more) -> Listeners:
    return Listeners.open(addresses, slots=slots, backlog=backlog, **more)


@pytest.fixture
def listeners():
    made: list[Listeners] = []

    def make(*addresses: Address, **more) -> Listeners:
        made.append(opened(*addresses, **more))
        return made[-1]

    yield make
    for item in made:
        item.close()


@linux
def test_the_queue_is_as_long_as_the_backlog(listeners):
    """The system tells the length in TCP_INFO of a listening socket."""
    for slots in (1, 2):
        opened = listeners(LOCAL, slots=slots, backlog=200)
        for roles in opened.bindings:
            for item in roles.sockets:
                assert struct.unpack_from("I", item.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32), 28) == (200,)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address(Kind.TCP, host="127.0.0.1", port=80)),
        ("tcp://localhost:80", Address(Kind.TCP, host="localhost", port=80)),
        ("[::1]:80", Address(Kind.TCP, host="::1", port=80)),
        (":80", Address(Kind.TCP, host="0.0.0.0", port=80)),
        ("unix:/run/x", Address(Kind.UNIX, path="/run/x")),
        ("unix:///run/x", Address(Kind.UNIX, path="/run/x")),
        ("unix:@name", Address(Kind.ABSTRACT, path="name")),
        ("fd:3", Address(Kind.FD, fd=3)),
        ("fd://3", Address(Kind.FD, fd=3)),
    ],
)
def test_addresses(text, address):
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "localhost:http", "unix:", "fd:x"])
def test_no_addresses(text):
    with pytest.raises(ConfigurationError, match="is no address"):
        Address.parse(text)


def test_port_0_is_told(listeners):
    made = listeners(LOCAL)
    port = made.bindings[0].sockets[0].getsockname()[1]
    assert made.urls("http") == [f"http://127.0.0.1:{port}"]


def test_ipv6_in_brackets(listeners):
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        made = listeners(Address(Kind.TCP, host="::1"))
    except ConfigurationError:
        pytest.skip("no IPv6 here")
    assert made.urls("https")[0].startswith("https://[::1]:")


@linux
def test_sockets_that_cannot_be_had_leave_no_others(listeners, monkeypatch):
    """Nobody would accept on them."""
    made = listeners(LOCAL, LOCAL, slots=2)
    bind = sockets_module.bind_sibling

    def fail_for_the_second(first, backlog):
        if first is made.bindings[1].sockets[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        return bind(first, backlog)

    monkeypatch.setattr(sockets_module, "bind_sibling", fail_for_the_second)
    with pytest.raises(OSError, match="Too many"):
        made.reserve(4)
    assert [len(binding.sockets) for binding in made.bindings] == [2, 2]
    assert made.slots == 2


@linux
def test_clients_are_refused(listeners, tmp_path):
    made = listeners(LOCAL, Address.unix(tmp_path / "socket"), Address.unix("@granian-test-refused"), slots=2)
    copies = [item.dup() for binding in made.bindings for item in binding.sockets]
    made.refuse()
    made.refuse()
    for item in copies:
        with socket.socket(item.family) as client, pytest.raises(ConnectionRefusedError):
            client.connect(item.getsockname())
        item.close()


@linux
def test_given_sockets_stay_as_they_are(listeners):
    with socket.create_server(("127.0.0.1", 0)) as given:
        given.set_inheritable(True)
        made = listeners(Address(Kind.FD, fd=given.fileno()))
        assert not given.get_inheritable()
        made.refuse()
        socket.create_connection(given.getsockname(), 5).close()


def test_descriptor_that_is_no_socket(tmp_path):
    with (tmp_path / "file").open("w") as file:
        before = os.listdir("/dev/fd")
        with pytest.raises(ConfigurationError, match="is no socket"):
            opened(Address(Kind.FD, fd=file.fileno()))
        assert len(os.listdir("/dev/fd")) == len(before)


@linux
def test_one_socket_per_slot(listeners):
    made = listeners(LOCAL, slots=4)
    sockets = made.bindings[0].sockets
    assert len(sockets) == 4
    assert len({item.getsockname() for item in sockets}) == 1
    assert [list(made.sockets(slot).values()) for slot in range(4)] == [[item] for item in sockets]
    assert all(item.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for item in sockets)
    made.reserve(6)
    assert made.bindings[0].sockets[:4] == sockets
    assert len(made.bindings[0].sockets) == 6
    made.reserve(2)
    assert len(made.bindings[0].sockets) == 6


def test_shared_sockets_are_in_every_slot(listeners, tmp_path):
    made = listeners(LOCAL, Address.unix(tmp_path / "socket"), slots=2)
    shared = made.bindings[1].sockets[0]
    assert all(shared in made.sockets(slot).values() for slot in range(2))
    assert shared not in made.own(0).values()
    assert not made.sockets(0).keys() & made.own(1).keys()


@pytest.mark.parametrize("slots", [1, 4])
def test_second_server_is_refused(listeners, slots):
    first = listeners(LOCAL, slots=slots)
    port = first.bindings[0].sockets[0].getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}: the address is in use"):
        opened(Address(Kind.TCP, host="127.0.0.1", port=port))


def test_port_can_be_had_again_at_once():
    made = opened(LOCAL)
    host, port = made.bindings[0].sockets[0].getsockname()
    with socket.create_connection((host, port)):
        made.bindings[0].sockets[0].setblocking(True)
        accepted, _ = made.bindings[0].sockets[0].accept()
        accepted.close()
        made.close()
    opened(Address(Kind.TCP, host=host, port=port)).close()


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [("nowhere.invalid", 0, "cannot be resolved"), ("127.0.0.1", 70000, "not between"), ("203.0.113.7", 0, "assign")],
)
def test_refusals_are_one_line(host, port, message):
    with pytest.raises(ConfigurationError, match=message) as refusal:
        opened(Address(Kind.TCP, host=host, port=port))
    assert "\n" not in str(refusal.value)


def test_all_or_nothing(tmp_path):
    path = tmp_path / "socket"
    with pytest.raises(ConfigurationError):
        opened(Address.unix(path), Address(Kind.TCP, host="nowhere.invalid"))
    assert not path.exists()


def test_stale_socket_is_replaced(listeners, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
        stale.listen()
    made = listeners(Address.unix(path))
    assert made.urls("http") == [f"http://unix:{path}"]
    made.close()
    assert not path.exists()


def test_live_socket_is_refused(listeners, tmp_path):
    path = tmp_path / "socket"
    listeners(Address.unix(path))
    with pytest.raises(ConfigurationError, match="another server is listening"):
        opened(Address.unix(path))
    assert path.exists()


def test_file_is_kept(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="no socket"):
        opened(Address.unix(path))
    assert path.read_text() == "precious"


def test_socket_of_somebody_else_is_kept(tmp_path):
    path = tmp_path / "socket"
    first = opened(Address.unix(path))
    path.unlink()
    second = opened(Address.unix(path))
    first.close()
    assert path.exists()
    second.close()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o777])
def test_permissions(listeners, tmp_path, mode):
    path = tmp_path / "socket"
    before = os.umask(0o022)
    try:
        listeners(Address.unix(path), permissions=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@linux
def test_abstract(listeners):
    made = listeners(Address.parse("unix:@granian-test"))
    assert made.urls("http") == ["http://unix:@granian-test"]
    with pytest.raises(ConfigurationError, match="in use"):
        opened(Address.parse("unix:@granian-test"))


def test_given_descriptor(listeners):
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        made = listeners(Address(Kind.FD, fd=given.fileno()), slots=2)
        assert made.urls("http") == [f"http://127.0.0.1:{given.getsockname()[1]}"]
        with socket.create_connection(given.getsockname()):
            pass


@pytest.mark.parametrize("kind", ["file", "datagram", "closed"])
def test_descriptor_that_will_not_do(kind, tmp_path):
    with socket.socket(type=socket.SOCK_DGRAM) as datagram, open(tmp_path / "file", "w") as file:
        fd = {"file": file.fileno(), "datagram": datagram.fileno(), "closed": 9999}[kind]
        with pytest.raises(ConfigurationError, match="descriptor"):
            opened(Address(Kind.FD, fd=fd))


def test_passed_by_systemd(monkeypatch):
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert inherited_descriptors() == []
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert inherited_descriptors() == [3, 4]
    assert inherited_descriptors() == []
