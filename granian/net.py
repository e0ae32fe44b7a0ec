"""Descriptions of listening sockets that travel between processes: a spec builds a holder of a descriptor.

The server itself binds in `granian.sockets`; these are for code that runs workers of its own.
"""

from __future__ import annotations

import os
import socket
from typing import Any


class SocketHolder:
    """A listening socket's descriptor; whoever built it closes it."""

    def __init__(self, fd: int, uds: bool = False, backlog: int = 1024) -> None:
        self._fd = fd
        self._uds = uds
        self._backlog = backlog

    # The name of the contract.
    def get_fd(self) -> int:
        return self._fd

    def is_uds(self) -> bool:
        return self._uds

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._fd, self._uds, self._backlog)


class SocketSpec:
    """An address to bind."""

    def __init__(self, host: str, port: int, backlog: int) -> None:
        self.host = host
        self.port = port
        self.backlog = backlog

    def build(self) -> SocketHolder:
        """Binds and listens; raises `OSError`."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            return _listening(listener, self.backlog, uds=False)

    def is_uds(self) -> bool:
        return False


class _UnixSocketSpec:
    """A path to bind, and the permissions that the socket file gets."""

    def __init__(self, path: str, backlog: int, permissions: int | None = None) -> None:
        self.path = path
        self.backlog = backlog
        self.permissions = permissions

    def build(self) -> SocketHolder:
        """Binds and listens; raises `OSError`."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.path)
            # Nobody can connect before `listen`.
            if self.permissions is not None:
                os.chmod(self.path, self.permissions)
            return _listening(listener, self.backlog, uds=True)

    def is_uds(self) -> bool:
        return True


def _listening(listener: socket.socket, backlog: int, uds: bool) -> SocketHolder:
    listener.listen(backlog)
    listener.setblocking(False)
    fd = listener.detach()
    os.set_inheritable(fd, True)
    return SocketHolder(fd, uds, backlog)


# The public name; programs written for Granian 2 compare it with None, which it was on Windows.
UnixSocketSpec = _UnixSocketSpec
