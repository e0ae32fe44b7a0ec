"""The rules of replacing, with workers that only say what they are told to say."""

from __future__ import annotations

import time
from typing import Any

import pytest

from granian.config import Config
from granian.supervisor import crew as crew_module
from granian.supervisor.crew import HURRY, Crew, Plan
from granian.supervisor.handle import Event, WorkerHandle
from granian.supervisor.report import Report
from granian.supervisor.slot import SlotState
from granian.supervisor.timers import Timers


class Listeners:
    """As many sockets as are asked for, which are none."""

    slots = 0

    def reserve(self, slots: int) -> None:
        self.slots = max(self.slots, slots)

    def sockets(self, slot: int) -> dict[int, Any]:
        return {}

    def own(self, slot: int) -> dict[int, Any]:
        return {}

    def redirects(self, port: int | None) -> None:
        return None


class Worker(WorkerHandle):
    pid = 1
    spawn_line = "spawned"

    def __init__(self, boot):
        super().__init__(boot)
        self.done: list[str] = []

    def waitables(self):
        return []

    def is_alive(self):
        return True

    def exit_code(self):
        return 1

    def stop(self):
        self.done.append("stop")

    def kill(self):
        self.done.append("kill")

    def dump(self):
        self.done.append("dump")

    def reopen_logs(self):
        pass

    def release(self):
        pass

    def listen(self, position, listener):
        pass


class Stage:
    """A crew, and a clock that goes on when it is told to."""

    def __init__(self, monkeypatch, workers: int, **options: Any) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.timers = Timers()
        self.all: list[Worker] = []
        config = Config.from_kwargs(target="a:b", workers=workers, **options)
        self.crew = Crew(Plan(config, Listeners(), self.launch, drain_timeout=30), self.timers)  # type: ignore[arg-type]
        self.completed = self.fatal = 0
        self.crew.on_complete = self._complete
        self.crew.on_fatal = self._fail
        self.crew.grow(workers)

    def launch(self, boot) -> Worker:
        self.all.append(Worker(boot))
        return self.all[-1]

    def _complete(self) -> None:
        self.completed += 1

    def _fail(self) -> None:
        self.fatal += 1

    def say(self, worker: Worker, *reports: Report) -> None:
        for report in reports:
            worker._note(report, None)
        self.crew.handle_events([Event(worker, list(reports), False)])

    def end(self, worker: Worker) -> None:
        self.crew.handle_events([Event(worker, [], True)])

    def ready(self) -> None:
        for worker in list(self.all):
            if worker.ready_at is None:
                self.say(worker, Report.READY)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.timers.run()


@pytest.fixture
def stage(monkeypatch):
    return lambda workers=1, **options: Stage(monkeypatch, workers, **options)


def test_one_slot_at_a_time(stage):
    scene = stage(3)
    scene.ready()
    assert scene.completed == 1
    scene.crew.replace_all()
    assert [slot.state for slot in scene.crew.slots].count(SlotState.REPLACING) == 1
    for started in (4, 5, 6):
        assert len(scene.all) == started
        scene.ready()
    assert scene.completed == 2
    assert [worker.done for worker in scene.all] == [["stop"]] * 3 + [[]] * 3


def test_a_slot_that_is_given_up_holds_nobody_up(stage):
    scene = stage(3)
    scene.ready()
    scene.crew.replace([scene.crew.slots[2], scene.crew.slots[0]])
    assert scene.crew.slots[2].state is SlotState.REPLACING
    scene.crew.shrink()
    assert scene.crew.slots[0].state is SlotState.REPLACING
    scene.ready()
    assert scene.completed == 2


def test_a_slot_that_is_given_up_before_it_was_ready(stage):
    scene = stage(2)
    scene.say(scene.all[0], Report.READY)
    scene.crew.shrink()
    assert scene.completed == 1 and scene.crew.has_served


def test_asked_again_and_again_a_worker_is_killed_no_later(stage):
    scene = stage()
    scene.ready()
    scene.crew.stop()
    for _ in range(10):
        scene.crew.hurry()
        scene.pass_time(HURRY / 4)
    assert "kill" in scene.all[0].done


def test_workers_that_leave_by_themselves_are_replaced_later_and_later(stage):
    scene = stage()
    for _ in range(200):
        scene.ready()
        scene.say(scene.all[-1], Report.DRAINING)
        scene.end(scene.all[-1])
        scene.pass_time(0.05)
    assert len(scene.all) < 10


def test_a_long_life_is_no_failure(stage):
    scene = stage()
    for _ in range(5):
        scene.ready()
        scene.pass_time(crew_module.LONG_LIFE + 1)
        scene.say(scene.all[-1], Report.DRAINING)
        scene.end(scene.all[-1])
    assert len(scene.all) == 6


def test_without_replacement_a_loss_ends_the_service_after_a_moment(stage):
    scene = stage(respawn_failed_workers=False)
    scene.ready()
    scene.say(scene.all[0], Report.DRAINING)
    assert scene.fatal == 0
    scene.pass_time(crew_module.GROUP_SIGNAL)
    assert scene.fatal == 1


def test_a_failed_start_under_reload_holds_nobody_up(stage):
    scene = stage(2, reload=True)
    scene.ready()
    scene.crew.replace_all()
    failing = scene.all[-1]
    scene.end(failing)
    assert len(scene.all) == 4


def test_deaf_once_all_drain(stage):
    scene = stage(2)
    scene.ready()
    scene.crew.stop()
    assert not scene.crew.is_deaf()
    for worker in scene.all:
        assert not scene.crew.is_deaf()
        scene.say(worker, Report.DRAINING)
    assert scene.crew.is_deaf()
