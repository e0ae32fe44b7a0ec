"""The race: all servers of a workload started, then loaded in turns, round by round."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benches.handshakes import identity
from benches.load import run_interval
from benches.peers import Launch, Peer
from benches.process import ServerFailed, ServerProcess, free_port
from benches.results import Cell, Row
from benches.workloads import Workload

_WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Race:
    """The servers of a race, their environments, and the length of an interval."""

    peers: Mapping[Peer, Path]
    rounds: int
    seconds: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of every server: where the database is."""

    def run(self, workload: Workload) -> Row:
        with ExitStack() as stack:
            field = [(cell, stack.enter_context(server)) for cell, server in self._starts(workload)]
            runners: list[tuple[Cell, ServerProcess]] = []
            for cell, server in field:
                if isinstance(server, ServerProcess):
                    runners.append((cell, server))
            for number in range(self.rounds):
                # Every other round runs backwards, so that no server always follows the same neighbour.
                for cell, server in runners[:: -1 if number % 2 else 1]:
                    self._turn(cell, server, workload, number == 0)
            return Row(workload, [cell for cell, _ in field])

    def _starts(self, workload: Workload) -> Iterator[tuple[Cell, contextlib.AbstractContextManager[object]]]:
        for peer, directory in self.peers.items():
            if workload.secure and peer.tls is None:
                continue
            for number, (setting, arguments) in enumerate(peer.settings.get(workload.settings, {}).items()):
                port = free_port()
                if workload.secure and peer.tls is not None:
                    arguments = (*arguments, *identity(peer.tls))
                launch = Launch(directory, workload.interface, workload.target, port, arguments)
                cell = Cell(peer.name, setting, judges=number == 0)
                server = ServerProcess(peer.command(launch), port, self.environment)
                try:
                    server.wait_ready(workload)
                    server.pause()
                except ServerFailed as error:
                    server.stop()
                    cell.void = f"{error} {f'({peer.needs})' if peer.needs else ''}".strip()
                    print(f"  {cell.peer} [{cell.setting}] left out: {cell.void}", flush=True)
                    yield cell, contextlib.nullcontext()
                    continue
                yield cell, server

    def _turn(self, cell: Cell, server: ServerProcess, workload: Workload, first: bool) -> None:
        if cell.void:
            return
        server.resume()
        try:
            if first:
                run_interval(server, workload, _WARM_UP_SECONDS)
            cell.samples.append(run_interval(server, workload, self.seconds))
        except (OSError, ServerFailed) as error:
            cell.void = str(error)
            print(f"  {cell.peer} [{cell.setting}] void: {cell.void}", flush=True)
        finally:
            server.pause()
