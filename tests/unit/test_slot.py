"""`granian.supervisor.slot`: every state of a worker's place, and the back-off of its starts."""

from granian.supervisor.slot import FIRST_WAIT, LONGEST_WAIT, Slot, SlotState
from granian.supervisor.timers import Timers


class Worker:
    """Stands for a handle: a slot only compares them."""


def serving():
    slot, worker = Slot(1), Worker()
    slot.boot(worker)
    slot.promote()
    return slot, worker


def test_first_worker():
    slot, worker = Slot(3), Worker()
    assert (slot.state, slot.name, slot.workers()) == (SlotState.EMPTY, "worker-3", [])
    slot.boot(worker)
    assert slot.state is SlotState.BOOTING
    assert not slot.is_serving()
    assert slot.promote() is None
    assert slot.state is SlotState.SERVING
    assert slot.is_serving()
    assert slot.workers() == [worker]


def test_successor():
    slot, old = serving()
    new = Worker()
    slot.boot(new)
    assert slot.state is SlotState.REPLACING
    assert slot.workers() == [old, new]
    assert slot.promote() is old
    assert slot.workers() == [new]
    assert slot.state is SlotState.SERVING


def test_successor_that_fails():
    slot, old = serving()
    new = Worker()
    slot.boot(new)
    slot.lose(new)
    assert (slot.state, slot.serving) == (SlotState.SERVING, old)
    timers = Timers()
    slot.wait(timers.after(60, lambda: None))
    assert slot.state is SlotState.RETRYING
    slot.boot(Worker())
    assert slot.state is SlotState.REPLACING
    assert timers.left() is None, "the retry is cancelled by the start"


def test_crash():
    slot, worker = serving()
    slot.lose(worker)
    assert slot.state is SlotState.EMPTY
    slot.wait(Timers().after(60, lambda: None))
    assert slot.state is SlotState.WAITING


def test_old_worker_dies_while_its_successor_starts():
    slot, old = serving()
    new = Worker()
    slot.boot(new)
    slot.lose(old)
    assert slot.state is SlotState.BOOTING
    assert slot.promote() is None
    assert slot.serving is new


def test_a_strangers_end_changes_nothing():
    slot, worker = serving()
    slot.lose(Worker())
    assert (slot.state, slot.serving) == (SlotState.SERVING, worker)


def test_abandoned_successor():
    slot, old = serving()
    assert slot.abandon() is None
    new = Worker()
    slot.boot(new)
    assert slot.abandon() is new
    assert (slot.state, slot.workers()) == (SlotState.SERVING, [old])


def test_close():
    slot, old = serving()
    new = Worker()
    slot.boot(new)
    assert slot.close() == [old, new]
    assert (slot.state, slot.workers()) == (SlotState.CLOSED, [])


def test_close_cancels_the_retry():
    slot, timers = Slot(1), Timers()
    slot.wait(timers.after(60, lambda: None))
    slot.close()
    assert timers.left() is None


def test_back_off_grows_to_a_bound():
    slot = Slot(1)
    waits = [slot.back_off() for _ in range(200)]
    assert waits[0] == FIRST_WAIT
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT
    assert slot.failures == 200
