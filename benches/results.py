"""Results: medians over rounds, the setting that judges and the best one of each server, ratios and verdicts."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benches.load import Sample
from benches.peers import OURS, REFERENCE
from benches.workloads import WORKLOADS, Workload


@dataclass
class Cell:
    """One server with one setting on one workload."""

    peer: str
    setting: str
    samples: list[Sample] = field(default_factory=list)
    void: str = ""
    """Why the cell counts for nothing; empty when it counts."""
    judges: bool = False
    """Whether this is the setting that people get without options."""

    @property
    def is_valid(self) -> bool:
        return bool(self.samples) and not self.void

    @property
    def cpu_us(self) -> float:
        return median(sample.cpu_us for sample in self.samples)

    @property
    def rate(self) -> float:
        return median(sample.rate for sample in self.samples)

    @property
    def p50_ms(self) -> float:
        return median(sample.p50_ms for sample in self.samples)

    @property
    def p99_ms(self) -> float:
        return median(sample.p99_ms for sample in self.samples)

    @property
    def p999_ms(self) -> float:
        return median(sample.p999_ms for sample in self.samples)


@dataclass
class Row:
    """One workload and all its cells."""

    workload: Workload
    cells: list[Cell]

    def judged(self, peer: str) -> Cell | None:
        """The setting without options."""
        return next((cell for cell in self.cells if cell.peer == peer and cell.judges and cell.is_valid), None)

    def best(self, peer: str) -> Cell | None:
        """The setting with which the server needs the least CPU."""
        valid = [cell for cell in self.cells if cell.peer == peer and cell.is_valid]
        return min(valid, key=lambda cell: cell.cpu_us, default=None)

    def ratio(self, peer: str = REFERENCE) -> float | None:
        """Ours over the peer's CPU, both without options."""
        return _ratio(self.judged(OURS), self.judged(peer))

    def best_ratio(self, peer: str = REFERENCE) -> float | None:
        """The same with the best setting of each."""
        return _ratio(self.best(OURS), self.best(peer))

    def tail_ratio(self, peer: str) -> float | None:
        """The same of the 99th percentiles, without options."""
        ours, theirs = self.judged(OURS), self.judged(peer)
        return ours.p99_ms / theirs.p99_ms if ours and theirs and theirs.p99_ms else None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Row | None":
        """A row of an earlier run; `None` if there is no such workload any more."""
        workload = next((workload for workload in WORKLOADS if workload.name == data["workload"]), None)
        if workload is None:
            return None
        cells = [
            Cell(
                cell["peer"],
                cell["setting"],
                [Sample(**sample) for sample in cell["samples"]],
                cell["void"],
                cell.get("judges", False),
            )
            for cell in data["cells"]
        ]
        return cls(workload, cells)

    def verdict(self) -> str:
        goal = self.workload.goal
        tails = [self.tail_ratio(peer) for peer in goal.tail]
        must = [
            (self.ratio(goal.of), goal.must),
            (self.ratio(goal.must_beat or ""), 1.0),
            *((tail, 1.0) for tail in tails),
        ]
        found = [ratio <= bound for ratio, bound in must if ratio is not None and bound is not None]
        if not found or (goal.must is not None and self.ratio(goal.of) is None):
            return "–"
        if not all(found):
            return "**fail**"
        aims = [(self.ratio(goal.of), goal.aim), (self.ratio(goal.aim_beat or ""), 1.0)]
        met = [ratio <= bound for ratio, bound in aims if ratio is not None and bound is not None]
        has_aim = goal.aim is not None or goal.aim_beat is not None
        return "pass, aim too" if has_aim and met and all(met) else "pass"

    def as_json(self) -> dict[str, Any]:
        return {
            "workload": self.workload.name,
            "interface": self.workload.interface,
            "goal": asdict(self.workload.goal),
            "ratio": self.ratio(),
            "best_ratio": self.best_ratio(),
            "verdict": self.verdict().strip("*"),
            "cells": [
                {
                    "peer": cell.peer,
                    "setting": cell.setting,
                    "judges": cell.judges,
                    "void": cell.void,
                    "cpu_us": cell.cpu_us if cell.samples else None,
                    "rate": cell.rate if cell.samples else None,
                    "p50_ms": cell.p50_ms if cell.samples else None,
                    "p99_ms": cell.p99_ms if cell.samples else None,
                    "p999_ms": cell.p999_ms if cell.samples else None,
                    "samples": [sample.as_json() for sample in cell.samples],
                }
                for cell in self.cells
            ],
        }


def _ratio(ours: Cell | None, theirs: Cell | None) -> float | None:
    """Round by round, so that a noisy neighbour hits both sides."""
    if ours is None or theirs is None:
        return None
    return median(a.cpu_us / b.cpu_us for a, b in zip(ours.samples, theirs.samples, strict=False))


@dataclass(frozen=True)
class Memory:
    """Resident memory of one server: per idle connection, and growth under steady use."""

    peer: str
    setting: str
    idle_bytes: float | None = None
    growth_bytes: float | None = None
    void: str = ""

    def verdict(self) -> str:
        """Only this server has goals: per idle connection, and for the growth."""
        if self.peer != OURS:
            return "–"
        met = self.idle_bytes is not None and self.idle_bytes <= IDLE_GOAL_BYTES
        met = met and self.growth_bytes is not None and self.growth_bytes < GROWTH_GOAL_BYTES
        return "pass" if met else "**fail**"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Memory":
        """The results of an earlier run."""
        return cls(**{key: value for key, value in data.items() if key != "verdict"})

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict().strip("*")}


@dataclass(frozen=True)
class Crowd:
    """Websockets of one server: resident memory of an idle one, and the time of a message to 10,000."""

    peer: str
    setting: str
    idle_bytes: float | None = None
    broadcast_seconds: float | None = None
    void: str = ""

    def verdict(self) -> str:
        """Only this server has goals."""
        if self.peer != OURS:
            return "–"
        met = self.idle_bytes is not None and self.idle_bytes <= IDLE_WEBSOCKET_GOAL_BYTES
        met = met and self.broadcast_seconds is not None and self.broadcast_seconds <= BROADCAST_GOAL_SECONDS
        return "pass" if met else "**fail**"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Crowd":
        """The results of an earlier run."""
        return cls(**{key: value for key, value in data.items() if key != "verdict"})

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict().strip("*")}


IDLE_WEBSOCKET_GOAL_BYTES = 6 * 1024
BROADCAST_GOAL_SECONDS = 1.0
IDLE_GOAL_BYTES = 2 * 1024
GROWTH_GOAL_BYTES = 2 * 2**20
