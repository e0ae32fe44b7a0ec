"""`granian.supervisor.crew`, `leaving` and `health`: the rules of replacing and leaving."""

from __future__ import annotations

import errno

import pytest

from granian.config import Config
from granian.supervisor import crew as crew_module
from granian.supervisor import health as health_module
from granian.supervisor import leaving as leaving_module
from granian.supervisor import timers as timers_module
from granian.supervisor.crew import LONG_LIFE, Crew
from granian.supervisor.handle import Event, WorkerHandle
from granian.supervisor.health import Health
from granian.supervisor.leaving import HURRY
from granian.supervisor.plan import Plan
from granian.supervisor.slot import SlotState
from granian.supervisor.timers import Timers
from granian.worker.report import Report


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Listeners:
    """As many sockets as there may be."""

    def __init__(self) -> None:
        self.most = 100
        self.refused = 0
        self.slots = 0

    def reserve(self, slots):
        if slots > self.most:
            raise OSError(errno.EMFILE, "Too many open files")
        self.slots = max(self.slots, slots)

    def sockets(self, slot):
        return self.own(slot)

    def own(self, slot):
        return {slot: f"socket {slot}"}

    def roles(self, port):
        return None

    def refuse(self):
        self.refused += 1


class Worker(WorkerHandle):
    """Keeps what it was told."""

    pid = 1
    spawn_line = "Spawning"

    def __init__(self, spec) -> None:
        super().__init__(spec)
        self.told: list[str] = []
        self.is_gone = False
        self.takes_sockets = True

    def waitables(self):
        return []

    def is_alive(self):
        return not self.is_gone

    def exit_code(self):
        return 0

    def stop(self):
        self.told.append("stop")

    def hurry(self):
        self.told.append("hurry")

    def kill(self):
        if self.is_gone:
            raise ValueError("process object is closed")
        self.told.append("kill")

    def dump(self):
        self.told.append("dump")

    def reopen_logs(self): ...

    def release(self): ...

    def _listen(self, position, listener):
        assert listener == f"socket {position}"
        return self.takes_sockets

    def send(self, command, value=None):
        self.told.append(command.value)


class Rig:
    """A crew whose time is ours."""

    def __init__(self, clock: Clock, **options) -> None:
        self.clock = clock
        self.config = Config.from_kwargs(target="a:b", interface="asgi", **options)
        self.timers, self.listeners = Timers(), Listeners()
        self.crew = Crew(Plan(self.config, self.listeners, Worker, 30.0), self.timers)
        self.calls: list[str] = []
        self.crew.on_complete = lambda: self.calls.append("complete")
        self.crew.on_fatal = lambda: self.calls.append("fatal")

    def say(self, worker: WorkerHandle, *reports: Report, text: str | None = None, ended: bool = False) -> None:
        for report in reports:
            worker._note(report, text)
        worker.is_gone = worker.is_gone or ended
        self.crew.handle_events([Event(worker, list(reports), ended)])

    def start(self, count: int) -> list[Worker]:
        self.crew.grow(count)
        for slot in self.crew.slots:
            self.say(slot.coming, Report.READY)
        return [slot.serving for slot in self.crew.slots]

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.timers.run()


@pytest.fixture
def rig(monkeypatch):
    clock = Clock()
    for module in (timers_module, crew_module, leaving_module, health_module):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr("granian.supervisor.handle.time", clock)
    return lambda **options: Rig(clock, **options)


def states(made: Rig) -> list[SlotState]:
    return [slot.state for slot in made.crew.slots]


def test_fewer_workers_while_the_last_one_is_replaced(rig):
    made = rig()
    made.start(3)
    made.crew.replace([made.crew.slots[2]], "spent")
    made.crew.replace([made.crew.slots[0]], "spent")
    made.crew.shrink()
    assert states(made) == [SlotState.REPLACING, SlotState.SERVING]


def test_fewer_workers_while_the_last_one_starts(rig):
    made = rig()
    made.crew.grow(2)
    made.say(made.crew.slots[0].coming, Report.READY)
    made.crew.shrink()
    assert made.calls == ["complete"]


def test_fewer_workers_while_the_last_one_is_in_line(rig):
    made = rig()
    made.start(2)
    made.calls.clear()
    made.crew.replace_all()
    made.crew.shrink()
    made.say(made.crew.slots[0].coming, Report.READY)
    assert made.calls == ["complete"]


def test_no_socket_for_one_more(rig):
    made = rig()
    made.start(1)
    made.listeners.most = 1
    made.crew.grow()
    assert states(made) == [SlotState.SERVING]
    made.listeners.most = 2
    made.crew.grow()
    assert states(made) == [SlotState.SERVING, SlotState.BOOTING]


def test_hurry_again_and_again(rig):
    """Each further signal put the end off."""
    made = rig()
    (worker,) = made.start(1)
    made.crew.stop()
    made.crew.hurry()
    for _ in range(4):
        made.wait(HURRY / 3)
        made.crew.hurry()
    assert worker.told.count("kill") == 1


def test_hurry_does_not_put_the_kill_off(rig):
    made = rig(workers_kill_timeout=1)
    (worker,) = made.start(1)
    made.crew.stop()
    made.wait(0.9)
    made.crew.hurry()
    made.wait(0.2)
    assert worker.told == ["stop", "hurry", "kill"]


def test_the_end_of_a_killed_worker_is_looked_for_at_once(rig):
    """A thread that is given up wakes nobody."""
    made = rig()
    made.start(1)
    made.crew.stop()
    made.wait(60)
    assert made.timers.left() == 0


def test_stuck_worker_that_ends_by_itself(rig):
    made = rig(hang_timeout=2)
    (worker,) = made.start(1)
    Health(made.config, made.crew, made.timers).start()
    for _ in range(5):
        made.wait(0.5)
    assert worker.told == ["dump"]
    made.say(worker, ended=True)
    made.wait(1)
    assert worker.told == ["dump"]


def test_stuck_worker_is_killed(rig):
    made = rig(hang_timeout=2)
    (worker,) = made.start(1)
    Health(made.config, made.crew, made.timers).start()
    for _ in range(6):
        made.wait(0.5)
    assert worker.told == ["dump", "kill"]


def test_samples_in_a_row_over_the_limit_of_memory(rig, monkeypatch):
    sizes = iter([200, 50, 200, 200, 200])
    monkeypatch.setattr(health_module, "resident_bytes", lambda pid: next(sizes) << 20)
    made = rig(workers_max_rss=100, rss_sample_interval=1, rss_samples=3)
    made.start(1)
    Health(made.config, made.crew, made.timers).start()
    for _ in range(4):
        made.wait(1)
    assert states(made) == [SlotState.SERVING]
    made.wait(1)
    assert states(made) == [SlotState.REPLACING]


def test_workers_that_leave_soon_are_replaced_later_and_later(rig):
    made = rig()
    (worker,) = made.start(1)
    made.say(worker, Report.DRAINING, Report.GONE, ended=True)
    assert states(made) == [SlotState.BOOTING]
    second = made.crew.slots[0].coming
    made.say(second, Report.READY)
    made.say(second, Report.DRAINING, Report.GONE, ended=True)
    assert states(made) == [SlotState.WAITING]
    made.wait(1)
    third = made.crew.slots[0].coming
    made.say(third, Report.READY)
    made.clock.now += LONG_LIFE + 1
    made.say(third, Report.DRAINING)
    assert states(made) == [SlotState.BOOTING]


def test_why_a_worker_leaves(rig, caplog, monkeypatch):
    monkeypatch.setattr(crew_module.logger, "propagate", True)
    made = rig()
    first, second = made.start(2)
    made.say(first, Report.DRAINING)
    made.say(second, Report.DRAINING, text="the application has left with SystemExit(3)")
    assert "Unexpected exit from worker-1: it was told to stop" in caplog.messages
    assert "Unexpected exit from worker-2: the application has left with SystemExit(3)" in caplog.messages


def test_lost_worker_ends_the_service(rig):
    made = rig(respawn_failed_workers=False)
    (worker,) = made.start(1)
    made.calls.clear()
    made.say(worker, Report.DRAINING)
    # The same signal may be on its way to the supervisor.
    made.wait(0.05)
    assert made.calls == []
    made.wait(0.1)
    assert made.calls == ["fatal"]


def test_sockets_are_ended_once_everybody_drains(rig):
    made = rig()
    first, second = made.start(2)
    made.say(first, Report.DRAINING)
    assert not made.listeners.refused
    made.crew.stop()
    successor = next(worker for worker in made.crew.workers() if worker not in (first, second))
    made.say(second, Report.DRAINING)
    assert not made.listeners.refused
    made.say(successor, ended=True)
    assert made.listeners.refused


def test_broken_version_does_not_hold_up_the_line(rig):
    made = rig(reload=True)
    made.start(2)
    made.crew.replace_all()
    assert states(made) == [SlotState.REPLACING, SlotState.SERVING]
    made.say(made.crew.slots[0].coming, Report.FAILED, text="SyntaxError", ended=True)
    assert states(made) == [SlotState.SERVING, SlotState.REPLACING]


def test_failed_start_without_a_log(rig, capsys, monkeypatch):
    monkeypatch.setattr(crew_module.logger, "disabled", True)
    made = rig()
    made.crew.grow(1)
    made.say(made.crew.slots[0].coming, Report.FAILED, text="no database", ended=True)
    assert capsys.readouterr().err == "worker-1 could not start: no database\n"
    made.wait(0)
    assert made.calls == ["fatal"]


def queues(made: Rig) -> list[set[int] | None]:
    """What the worker of each slot accepts on."""
    return [slot.serving and slot.serving.listening for slot in made.crew.slots]


def test_the_queue_of_a_lost_worker_comes_back_to_its_successor(rig):
    """The heir went on accepting until it was replaced itself: 281 of 400 connections were its."""
    made = rig()
    _, second, _ = made.start(3)
    made.say(second, ended=True)
    assert queues(made) == [{0, 1}, None, {2}]
    made.say(made.crew.slots[1].coming, Report.READY)
    assert queues(made) == [{0}, {1}, {2}]
    assert made.crew.slots[0].serving.told == ["unlisten"]


def test_queues_of_lost_workers_are_shared_out(rig):
    made = rig()
    workers = made.start(4)
    made.say(workers[0], ended=True)
    made.say(workers[3], ended=True)
    assert queues(made) == [None, {0, 1}, {2, 3}, None]
    made.say(workers[1], ended=True)
    assert queues(made) == [None, None, {0, 1, 2, 3}, None]


def test_an_heir_that_is_replaced_hands_on(rig):
    """A queue whose worker waited for its next start, up to 30 s, had nobody."""
    made = rig()
    _, second = made.start(2)
    for _ in range(2):
        made.say(second, ended=True)
        second = made.crew.slots[1].coming
        if second is not None:
            made.say(second, Report.READY)
    assert states(made) == [SlotState.SERVING, SlotState.WAITING]
    made.crew.replace([made.crew.slots[0]], "spent")
    made.say(made.crew.slots[0].coming, Report.READY)
    assert queues(made) == [{0, 1}, None]


def test_everybody_lost_leaves_the_queues_to_the_first_that_is_ready(rig):
    made = rig()
    for worker in made.start(2):
        made.say(worker, ended=True)
    made.say(made.crew.slots[1].coming, Report.READY)
    assert queues(made) == [None, {0, 1}]
    made.say(made.crew.slots[0].coming, Report.READY)
    assert queues(made) == [{0}, {1}]


def test_first_workers_wait_for_nobody(rig):
    made = rig()
    made.crew.grow(2)
    made.say(made.crew.slots[0].coming, Report.READY)
    assert queues(made) == [{0}, None]


def test_clients_of_one_more_worker_are_served_while_it_starts(rig):
    made = rig()
    made.start(1)
    made.crew.grow()
    assert queues(made) == [{0, 1}, None]
    made.say(made.crew.slots[1].coming, Report.READY)
    assert queues(made) == [{0}, {1}]


def test_a_socket_that_could_not_be_passed_is_passed_later(rig):
    made = rig()
    first, second, third = made.start(3)
    first.takes_sockets = False
    made.say(second, ended=True)
    assert queues(made) == [{0}, None, {2}]
    first.takes_sockets = True
    made.say(third, ended=True)
    assert queues(made) == [{0, 1, 2}, None, None]


def test_queue_of_a_slot_that_is_given_up(rig):
    made = rig()
    made.start(2)
    made.crew.shrink()
    assert queues(made) == [{0, 1}]
    made.crew.replace([made.crew.slots[0]], "spent")
    made.say(made.crew.slots[0].coming, Report.READY)
    assert queues(made) == [{0, 1}]
