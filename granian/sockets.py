"""The listening sockets of a service: the supervisor binds and owns them, workers accept on them.

TCP on Linux has one SO_REUSEPORT socket for every worker slot, so that the kernel spreads the load;
they all listen from the start and outlive the workers, so no queued connection is ever lost. Unix
sockets, given descriptors and other systems have one socket that all workers share.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

from .errors import ConfigurationError
from .log import logger


class Kind(Enum):
    """What an address names."""

    TCP = "tcp"
    UNIX = "unix"
    ABSTRACT = "abstract"
    FD = "fd"


@dataclass(frozen=True)
class Address:
    """Where to listen, as written."""

    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1

    @classmethod
    def parse(cls, text: str) -> Address:
        """`host:port`, `[::1]:port`, `:port`, `unix:PATH`, `unix:@NAME` or `fd:N` (also with `://`)."""
        scheme, _, rest = text.partition(":")
        rest = rest.removeprefix("//")
        if scheme == "fd" and rest.isdecimal():
            return cls(Kind.FD, fd=int(rest))
        if scheme == "unix" and rest:
            return cls.unix(rest)
        host, colon, port = text.removeprefix("tcp://").rpartition(":")
        if colon and port.isdecimal():
            return cls(Kind.TCP, host=host.strip("[]") or "0.0.0.0", port=int(port))
        fail("bind", f"{text!r} is no address to listen on; give HOST:PORT, unix:PATH, unix:@NAME or fd:N")

    @classmethod
    def unix(cls, path: str | Path) -> Address:
        """A path, or an abstract name after `@`."""
        text = str(path)
        if text.startswith("@"):
            return cls(Kind.ABSTRACT, path=text[1:])
        return cls(Kind.UNIX, path=os.path.abspath(text))


class Binding:
    """One address and its sockets: one per worker slot, or one for all of them."""

    def __init__(self, address: Address, sockets: list[socket.socket], spread: bool, backlog: int) -> None:
        self.address = address
        self.spread = spread
        self._sockets = sockets
        self._backlog = backlog
        self._inode: tuple[int, int] | None = None
        if address.kind is Kind.UNIX:
            found = os.stat(address.path)
            self._inode = (found.st_dev, found.st_ino)

    def reserve(self, slots: int) -> None:
        """Listens with one socket for each of `slots` slots."""
        while self.spread and len(self._sockets) < slots:
            self._sockets.append(_sibling(self._sockets[0], self._backlog))

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return tuple(self._sockets)

    def url(self, scheme: str) -> str:
        """The address to open, with the port that the system gave."""
        bound = self._sockets[0].getsockname()
        if isinstance(bound, tuple):
            host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            return f"{scheme}://{host}:{bound[1]}"
        name = f"@{bound[1:].decode()}" if isinstance(bound, bytes) else bound
        return f"{scheme}://unix:{name}"

    def close(self) -> None:
        """Closes the sockets and removes the socket file if it is still this one."""
        for item in self._sockets:
            item.close()
        if self._inode is None:
            return
        try:
            found = os.stat(self.address.path)
            if (found.st_dev, found.st_ino) == self._inode:
                os.unlink(self.address.path)
        except OSError:
            pass


class Listeners:
    """All that a service listens on."""

    def __init__(self, bindings: list[Binding]) -> None:
        self.bindings = bindings
        self.slots = 0

    @classmethod
    def open(cls, addresses: Sequence[Address], slots: int, backlog: int, permissions: int | None = None) -> Listeners:
        """Binds every address or none.

        # Errors
        `ConfigurationError`, after a line in the log, for the first that cannot be had.
        """
        listeners = cls([])
        try:
            for address in addresses:
                listeners.bindings.extend(_bind(address, backlog, permissions))
            listeners.reserve(slots)
        except BaseException:
            listeners.close()
            raise
        return listeners

    def reserve(self, slots: int) -> None:
        """Makes sure that each of `slots` slots has its sockets; none is given up again."""
        self.slots = max(self.slots, slots)
        for binding in self.bindings:
            binding.reserve(self.slots)

    def sockets(self) -> list[socket.socket]:
        """All sockets in an order that does not change: new ones come last."""
        depth = max(len(binding.sockets) for binding in self.bindings)
        rows = [[binding.sockets[row : row + 1] for binding in self.bindings] for row in range(depth)]
        return [found for row in rows for cell in row for found in cell]

    def positions(self, slot: int) -> list[int]:
        """Where in `sockets()` those of one slot are, counted from 0; shared ones are every slot's."""
        own: set[int] = set()
        for binding in self.bindings:
            index = slot % len(binding.sockets) if binding.spread else 0
            own.add(id(binding.sockets[index]))
        return [position for position, item in enumerate(self.sockets()) if id(item) in own]

    def urls(self, scheme: str) -> list[str]:
        return [binding.url(scheme) for binding in self.bindings]

    def close(self) -> None:
        for binding in self.bindings:
            binding.close()


def inherited_descriptors() -> list[int]:
    """What systemd has passed (`LISTEN_FDS`), if it was meant for this process."""
    count, pid = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    if not count.isdecimal() or pid != str(os.getpid()):
        return []
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    return list(range(FIRST_PASSED, FIRST_PASSED + int(count)))


def fail(option: str, message: str) -> NoReturn:
    """One line in the log, and out."""
    logger.error(message)
    raise ConfigurationError(option)


def _bind(address: Address, backlog: int, permissions: int | None) -> list[Binding]:
    match address.kind:
        case Kind.FD:
            return [Binding(address, [_given(address.fd, backlog)], spread=False, backlog=backlog)]
        case Kind.UNIX:
            return [Binding(address, [_bind_unix(address.path, backlog, permissions)], spread=False, backlog=backlog)]
        case Kind.ABSTRACT:
            return [Binding(address, [_bind_abstract(address.path, backlog)], spread=False, backlog=backlog)]
        case Kind.TCP:
            spread = sys.platform == "linux"
            return [Binding(address, [item], spread, backlog) for item in _bind_tcp(address, backlog)]


def _bind_tcp(address: Address, backlog: int) -> list[socket.socket]:
    """One socket for every address that the host's name stands for."""
    if not 0 <= address.port <= MAX_PORT:
        fail("port", f"The port {address.port} is not between 0 and {MAX_PORT}")
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        fail("address", f"The address {address.host!r} cannot be resolved: {error}")
    bound: list[socket.socket] = []
    refusal: OSError | None = None
    port = address.port
    for family, _, _, _, where in dict.fromkeys(sorted(found)):
        try:
            bound.append(_listen_tcp(family, (str(where[0]), port, *where[2:]), backlog))
            port = bound[0].getsockname()[1]
        except OSError as error:
            refusal = error
            if error.errno not in NO_SUCH_FAMILY:
                for item in bound:
                    item.close()
                bound.clear()
                break
    if not bound:
        assert refusal is not None
        fail("address", f"Cannot listen on {address.host}:{address.port}: {_reason(refusal)}")
    return bound


def _listen_tcp(family: int, where: tuple[str | int, ...], backlog: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            # On Windows the option would let a second server in; elsewhere it lets one start anew.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where[0] != "::"))
        # Without SO_REUSEPORT yet: an address that is served already is refused.
        listener.bind(where)
        if sys.platform == "linux":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return _listening(listener, backlog)
    except BaseException:
        listener.close()
        raise


def _sibling(first: socket.socket, backlog: int) -> socket.socket:
    listener = socket.socket(first.family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if first.family == socket.AF_INET6:
            only = first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        listener.bind(first.getsockname())
        return _listening(listener, backlog)
    except BaseException:
        listener.close()
        raise


def _listening(listener: socket.socket, backlog: int) -> socket.socket:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def _bind_unix(path: str, backlog: int, permissions: int | None) -> socket.socket:
    _clear_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        # Nobody can connect before `listen`, so there is no moment with other permissions.
        if permissions is not None:
            os.chmod(path, permissions)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        fail("uds", f"Cannot listen on {path}: {_reason(error)}")
    listener.setblocking(False)
    return listener


def _clear_path(path: str) -> None:
    """Removes the socket file that a dead server has left; anything else stays."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        fail("uds", f"Cannot listen on {path}: {_reason(error)}")
    if not stat.S_ISSOCK(mode):
        fail("uds", f"Cannot listen on {path}: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError as error:
            fail("uds", f"Cannot listen on {path}: {_reason(error)}")
        else:
            fail("uds", f"Cannot listen on {path}: another server is listening there")


def _bind_abstract(name: str, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(b"\0" + name.encode())
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        fail("uds", f"Cannot listen on @{name}: {_reason(error)}")
    listener.setblocking(False)
    return listener


def _given(fd: int, backlog: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=os.dup(fd))
    except OSError as error:
        fail("fd", f"The descriptor {fd} is no socket: {_reason(error)}")
    if listener.type != socket.SOCK_STREAM:
        listener.close()
        fail("fd", f"The descriptor {fd} is no stream socket")
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.listen(backlog)
    listener.setblocking(False)
    return listener


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use"
    return (error.strerror or str(error)).lower()


FIRST_PASSED = 3
MAX_PORT = 65535
NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
