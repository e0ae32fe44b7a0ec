"""`granian.net`: sockets that travel between processes."""

import os
import pickle
import socket
import stat

import pytest

from granian.net import SocketHolder, SocketSpec, UnixSocketSpec


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcp(host):
    spec = SocketSpec(host, 0, 128)
    assert not spec.is_uds()
    holder = spec.build()
    with socket.socket(fileno=holder.get_fd()) as listener:
        assert not holder.is_uds()
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        with socket.create_connection(listener.getsockname()[:2]):
            pass


def test_an_address_in_use_leaves_nothing_open():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError):
        SocketSpec("127.0.0.1", other.getsockname()[1], 128).build()


@pytest.mark.parametrize(("permissions", "mode"), [(0o600, 0o600), (None, None)])
def test_unix(tmp_path, permissions, mode):
    path = str(tmp_path / "socket")
    spec = UnixSocketSpec(path, 128, permissions)
    assert spec.is_uds()
    holder = spec.build()
    assert holder.is_uds()
    assert mode is None or stat.S_IMODE(os.stat(path).st_mode) == mode
    with socket.socket(fileno=holder.get_fd()), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_holders_and_specs_travel():
    holder = pickle.loads(pickle.dumps(SocketHolder(7, True, 5)))
    assert (holder.get_fd(), holder.is_uds()) == (7, True)
    spec = pickle.loads(pickle.dumps(SocketSpec("::1", 80, 5)))
    assert (spec.host, spec.port, spec.backlog) == ("::1", 80, 5)
