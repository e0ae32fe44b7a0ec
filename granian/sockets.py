"""The listening sockets of a service: the supervisor binds and owns them, workers accept on them.

TCP on Linux has one SO_REUSEPORT socket for every worker slot, so that the kernel spreads the load;
they all listen from the start and outlive the workers, so no queued connection is ever lost. Unix
sockets, given descriptors and other systems have one socket that all workers share.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ._granian import Worker
from .binding import Address, Kind, Role, bind_abstract, bind_sibling, bind_tcp, bind_unix, take_given
from .errors import ConfigurationError


class Binding:
    """An address with its sockets: one per worker slot, or one for all slots."""

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
            self._sockets.append(bind_sibling(self._sockets[0], self._backlog))

    def forget(self, slots: int) -> None:
        """Closes the sockets beyond those of `slots` slots."""
        while self.spread and len(self._sockets) > max(slots, 1):
            self._sockets.pop().close()

    def refuse(self) -> None:
        """Refuses new connections, in other processes too. Sockets that were passed are left alone."""
        if self.address.kind is Kind.FD:
            return
        for item in self._sockets:
            try:
                item.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It was shut down before, or the system cannot: then the sockets end with the process.
                pass

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return tuple(self._sockets)

    @property
    def port(self) -> int | None:
        """The bound port."""
        bound = self._sockets[0].getsockname()
        return int(bound[1]) if isinstance(bound, tuple) else None

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


@dataclass(frozen=True)
class Roles:
    """The role of each socket, as workers are told."""

    # By the number of the binding.
    of_bindings: tuple[Role, ...] = (Role.APP,)
    # Where `Role.REDIRECT` sends clients to.
    secured_port: int | None = None

    def listen(self, worker: Worker, position: int, listener: socket.socket) -> None:
        """Makes `worker` accept on the socket of this number, in its role."""
        role = self.of_bindings[position % len(self.of_bindings)]
        worker.listen(listener.fileno(), role.value, self.secured_port)


class Accepting:
    """The sockets that one worker accepts on: its own, and for a while those of workers that have ended."""

    def __init__(self, worker: Worker, roles: Roles, own: dict[int, socket.socket]) -> None:
        self._worker = worker
        self._roles = roles
        self._listeners = dict(own)
        self._adopted: dict[int, socket.socket] = {}
        for position, listener in own.items():
            roles.listen(worker, position, listener)

    @property
    def listeners(self) -> Collection[socket.socket]:
        return self._listeners.values()

    def adopt(self, position: int, listener: socket.socket) -> None:
        """Accepts on one more socket, and has to close it in the end."""
        if position in self._listeners:
            return listener.close()
        self._listeners[position] = self._adopted[position] = listener
        self._roles.listen(self._worker, position, listener)

    def leave(self, position: int) -> None:
        """Accepts no more on a socket that has a worker of its own again; its queue stays with the supervisor."""
        listener = self._listeners.pop(position, None)
        if listener is None:
            return
        self._worker.unlisten(listener.fileno())
        if self._adopted.pop(position, None) is not None:
            listener.close()

    def close(self) -> None:
        while self._adopted:
            self._adopted.popitem()[1].close()


class Listeners:
    """All bindings of a service."""

    def __init__(self, bindings: list[Binding]) -> None:
        self.bindings = bindings
        self.slots = 0

    @classmethod
    def open(cls, addresses: Sequence[Address], slots: int, backlog: int, permissions: int | None = None) -> Listeners:
        """Binds every address or none.

        # Errors
        `ConfigurationError` for the first that cannot be had.
        """
        listeners = cls([])
        try:
            for address in addresses:
                listeners.bindings.extend(_bound(address, backlog, permissions))
            listeners.reserve(slots)
        except BaseException:
            listeners.close()
            raise
        return listeners

    def reserve(self, slots: int) -> None:
        """Makes sure that each of `slots` slots has its sockets; none is given up again.

        # Errors
        `OSError`, and there are as many as before: one that nobody accepts on would swallow connections.
        """
        try:
            for binding in self.bindings:
                binding.reserve(slots)
        except OSError:
            for binding in self.bindings:
                binding.forget(self.slots)
            raise
        self.slots = max(self.slots, slots)

    def sockets(self, slot: int) -> dict[int, socket.socket]:
        """The sockets that a slot, counted from 0, accepts on, by their numbers."""
        return {**self.shared(), **self.own(slot)}

    def own(self, slot: int) -> dict[int, socket.socket]:
        """The sockets of this slot alone."""
        found = {}
        for number, binding in enumerate(self.bindings):
            if binding.spread:
                found[slot * len(self.bindings) + number] = binding.sockets[slot]
        return found

    def shared(self) -> dict[int, socket.socket]:
        """The sockets that all slots share."""
        return {number: binding.sockets[0] for number, binding in enumerate(self.bindings) if not binding.spread}

    def of_role(self, role: Role) -> list[Binding]:
        """The bindings of one role, in their order."""
        return [binding for binding in self.bindings if binding.address.role is role]

    def roles(self, secured_port: int | None) -> Roles:
        """The role of each binding. Redirects lead to `secured_port`, or else to the first port of the application."""
        ports = [binding.port for binding in self.of_role(Role.APP)]
        found = secured_port or next((port for port in ports if port is not None), HTTPS_PORT)
        return Roles(tuple(binding.address.role for binding in self.bindings), found)

    def urls(self, scheme: str) -> list[str]:
        """The URLs of the application."""
        return [binding.url(scheme) for binding in self.of_role(Role.APP)]

    def announcements(self, scheme: str) -> list[str]:
        """A line for each address."""
        return [
            *(f"Listening at: {url}" for url in self.urls(scheme)),
            *(f"Redirecting to https at: {one.url('http')}" for one in self.of_role(Role.REDIRECT)),
        ]

    def refuse(self) -> None:
        """Refuses new clients, and drops those that wait to be accepted."""
        for binding in self.bindings:
            binding.refuse()

    def close(self) -> None:
        for binding in self.bindings:
            binding.close()


def inherited_descriptors() -> list[int]:
    """The descriptors that systemd has passed (`LISTEN_FDS`), if they are meant for this process."""
    count, pid = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    if not count.isdecimal() or pid != str(os.getpid()):
        return []
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    return list(range(FIRST_PASSED, FIRST_PASSED + int(count)))


def _bound(address: Address, backlog: int, permissions: int | None) -> list[Binding]:
    try:
        return _bind(address, backlog, permissions)
    except ConfigurationError as error:
        raise ConfigurationError(address.option or error.option, error.message) from None


def _bind(address: Address, backlog: int, permissions: int | None) -> list[Binding]:
    match address.kind:
        case Kind.FD:
            return [Binding(address, [take_given(address.fd, backlog)], spread=False, backlog=backlog)]
        case Kind.UNIX:
            return [Binding(address, [bind_unix(address.path, backlog, permissions)], spread=False, backlog=backlog)]
        case Kind.ABSTRACT:
            return [Binding(address, [bind_abstract(address.path, backlog)], spread=False, backlog=backlog)]
        case Kind.TCP:
            spread = sys.platform == "linux"
            return [Binding(address, [item], spread, backlog) for item in bind_tcp(address, backlog)]


FIRST_PASSED = 3
# Where clients look without being told (RFC 9110, 4.2.2).
HTTPS_PORT = 443

__all__ = ["Accepting", "Address", "Binding", "Kind", "Listeners", "Role", "Roles", "inherited_descriptors"]
