"""Addresses to listen on, and the system calls that make sockets of them.

A socket that is returned listens and does not block; whatever stands in the way is a `ConfigurationError`
of one line.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import NoReturn

from .errors import ConfigurationError
from .mechanisms import disabled


class Kind(Enum):
    """The kind of an address."""

    TCP = "tcp"
    UNIX = "unix"
    ABSTRACT = "abstract"
    FD = "fd"


class Role(Enum):
    """The service that the clients of a listening socket get. The core knows the same roles by these values."""

    # The application, secured if there is a certificate.
    APP = "app"
    # Plain connections, whose requests are redirected to the secured address.
    REDIRECT = "redirect"


@dataclass(frozen=True)
class Address:
    """An address to listen on."""

    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1
    role: Role = Role.APP
    # The option that gave it, if that is not the usual one of its kind.
    option: str | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """`host:port`, `[::1]:port`, `:port`, `unix:PATH`, `unix:@NAME` or `fd:N` (also with `://`)."""
        scheme, _, rest = text.partition(":")
        rest = rest.removeprefix("//")
        if scheme == "fd" and rest.isdecimal():
            return cls(Kind.FD, fd=int(rest), option="bind")
        if scheme == "unix" and rest:
            return replace(cls.unix(rest), option="bind")
        host, colon, port = text.removeprefix("tcp://").rpartition(":")
        if colon and port.isdecimal():
            return cls(Kind.TCP, host=host.strip("[]") or "0.0.0.0", port=int(port), option="bind")
        fail("bind", f"{text!r} is no address to listen on; give HOST:PORT, unix:PATH, unix:@NAME or fd:N")

    @classmethod
    def unix(cls, path: str | Path) -> Address:
        """A path, or an abstract name after `@`."""
        text = str(path)
        if text.startswith("@"):
            return cls(Kind.ABSTRACT, path=text[1:])
        return cls(Kind.UNIX, path=os.path.abspath(text))


def fail(option: str, message: str) -> NoReturn:
    """Raises the error of an option."""
    raise ConfigurationError(option, message)


def bind_tcp(address: Address, backlog: int) -> list[socket.socket]:
    """Binds one socket for every address of the host's name."""
    if not 0 <= address.port <= MAX_PORT:
        fail("port", f"The port {address.port} is not between 0 and {MAX_PORT}")
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        host, _, digits = address.host.rpartition(":")
        hint = f"; the port goes into an option of its own: {host} and {digits}" if host and digits.isdecimal() else ""
        fail("address", f"The address {address.host!r} cannot be resolved: {error}{hint}")
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
        fail("address", f"Cannot listen on {address.host}:{address.port}: {_reason(refusal, address.port)}")
    return bound


def _listen_tcp(family: int, where: tuple[str | int, ...], backlog: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A server may start again while connections of the one before it are in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where[0] != "::"))
        # SO_REUSEPORT is set after the bind, so that an address in use is refused.
        listener.bind(where)
        if sys.platform == "linux":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return _listening(listener, backlog)
    except BaseException:
        listener.close()
        raise


def bind_sibling(first: socket.socket, backlog: int) -> socket.socket:
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
    _do_not_pace(listener)
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def _do_not_pace(listener: socket.socket) -> None:
    """Congestion control without timers, for clients that can only be on this machine, such as a proxy.

    Where the system's choice is BBR, the kernel spaces segments out by a timer each, which between two
    processes is useless work: `make bench`, tls-h2-download 49 ms of CPU with it, 31 without.
    """
    name = listener.getsockname()[0].partition("%")[0]
    if sys.platform == "linux" and ipaddress.ip_address(name).is_loopback and "loopback-reno" not in disabled():
        # Every kernel has reno, and a connection inherits it from its listener.
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def bind_unix(path: str, backlog: int, permissions: int | None) -> socket.socket:
    _clear_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        # No client can connect before `listen`, so the permissions hold from the first connection.
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


def bind_abstract(name: str, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(b"\0" + name.encode())
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        fail("uds", f"Cannot listen on @{name}: {_reason(error)}")
    listener.setblocking(False)
    return listener


def take_given(fd: int, backlog: int) -> socket.socket:
    try:
        ours = os.dup(fd)
    except OSError as error:
        fail("fd", f"The descriptor {fd} is no socket: {_reason(error)}")
    try:
        listener = socket.socket(fileno=ours)
    except OSError as error:
        os.close(ours)
        fail("fd", f"The descriptor {fd} is no socket: {_reason(error)}")
    if fd > STANDARD_ERROR:
        # Other programs that the application starts have nothing to accept.
        os.set_inheritable(fd, False)
    if listener.type != socket.SOCK_STREAM:
        listener.close()
        fail("fd", f"The descriptor {fd} is no stream socket")
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.listen(backlog)
    listener.setblocking(False)
    return listener


def _reason(error: OSError, port: int | None = None) -> str:
    is_privileged = error.errno == errno.EACCES and port is not None and port < UNPRIVILEGED
    if error.errno == errno.EADDRINUSE:
        return "the address is in use by another program"
    text = (error.strerror or str(error)).lower()
    return f"{text} (ports below 1024 are for privileged users)" if is_privileged else text


MAX_PORT = 65535
UNPRIVILEGED = 1024
STANDARD_ERROR = 2
NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
