"""The slots' queues: each has its slot's own worker, and another one while that slot is without."""

from __future__ import annotations

from collections.abc import Sequence

from ..sockets import Listeners
from .slot import Slot


class Queues:
    """Shares out the queues of single slots. A queue that every worker accepts from is never without one."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    def share(self, slots: Sequence[Slot]) -> None:
        """Assigns each queue without a worker to another worker, and takes it back once its own worker serves."""
        serving = [slot.serving for slot in slots if slot.serving is not None]
        for number in range(self._listeners.slots):
            # The queue of a removed slot stays open, since the kernel goes on filling it.
            own = slots[number].serving if number < len(slots) else None
            for position, listener in self._listeners.own(number).items():
                others = [worker for worker in serving if worker is not own and position in worker.listening]
                if own is not None:
                    for worker in others:
                        worker.unlisten(position)
                elif serving and not others:
                    heir = min(serving, key=lambda worker: len(worker.listening))
                    heir.listen(position, listener)
