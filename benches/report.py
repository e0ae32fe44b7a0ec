"""The report: Markdown for people and JSON for tools, in one directory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.peers import OURS, REFERENCE
from benches.results import Cell, Crowd, Memory, Row
from benches.workloads import WORKLOADS


@dataclass(frozen=True)
class Report:
    """Everything one run found out."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    rows: list[Row]
    memory: list[Memory]
    crowds: list[Crowd]

    def write(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "results.md").write_text(self.as_markdown())
        (directory / "results.json").write_text(json.dumps(self.as_json(), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> "Report":
        """The table of an earlier run; empty without one."""
        if not file.exists():
            return cls({}, {}, [], [], [])
        data = json.loads(file.read_text())
        rows = [row for row in map(Row.from_json, data["rows"]) if row]
        memory = [Memory.from_json(entry) for entry in data["memory"]]
        crowds = [Crowd.from_json(entry) for entry in data.get("websockets", [])]
        return cls(data["machine"], data["versions"], rows, memory, crowds)

    def over(self, earlier: "Report") -> "Report":
        """This run's findings, and those of the earlier one where this has none."""
        rows = {row.workload: row for row in (*earlier.rows, *self.rows)}
        memory = {(entry.peer, entry.setting): entry for entry in (*earlier.memory, *self.memory)}
        crowds = {(entry.peer, entry.setting): entry for entry in (*earlier.crowds, *self.crowds)}
        versions = {**earlier.versions, **self.versions}
        order = [rows[workload] for workload in WORKLOADS if workload in rows]
        # A run of the memory part alone says nothing of how the rows were measured.
        machine = self.machine if self.rows else earlier.machine or self.machine
        return Report(machine, versions, order, list(memory.values()), list(crowds.values()))

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "rows": [row.as_json() for row in self.rows],
            "memory": [entry.as_json() for entry in self.memory],
            "websockets": [entry.as_json() for entry in self.crowds],
        }

    def as_markdown(self) -> str:
        parts = ["# Benchmark", "", "Made by `make bench`; the method is in the README of `benches/`.", ""]
        parts += [f"- {key}: {value}" for key, value in self.machine.items()]
        parts += ["- servers: " + ", ".join(f"{name} {version}" for name, version in self.versions.items()), ""]
        if self.rows:
            parts += ["![CPU per request, by workload](results.png)", "", *self._summary(), "", *self._details(), ""]
        if self.memory:
            parts += [*self._memory(), ""]
        if self.crowds:
            parts += [*self._crowds(), ""]
        return "\n".join(parts)

    def _summary(self) -> list[str]:
        peers = [name for name in self.versions if any(row.best(name) for row in self.rows)]
        lines = [
            "## Server CPU per answered request, µs",
            "",
            "The best setting of each server; × is ours over granian's.",
        ]
        lines += [
            "",
            _line("workload", *(f"{peer} {self.versions[peer]}" for peer in peers), "×", "must", "aim", "verdict"),
            _line(*["---"] * (len(peers) + 5)),
        ]
        for row in self.rows:
            goal, ratio = row.workload.goal, row.ratio()
            figures = [_figure(row.best(peer)) for peer in peers]
            must = _factor(goal.must) + (f", {goal.must_beat}" if goal.must_beat else "")
            aim = f"{goal.aim_beat}" if goal.aim_beat else _factor(goal.aim)
            lines.append(_line(row.workload.name, *figures, f"{ratio:.2f}" if ratio else "–", must, aim, row.verdict()))
        return lines

    def _details(self) -> list[str]:
        lines = ["## Every server and setting", ""]
        lines += [_line("workload", "server", "setting", "CPU µs", "requests/s", "p99 ms"), _line(*["---"] * 6)]
        for row in self.rows:
            for cell in row.cells:
                figures = [f"void: {cell.void}", "–", "–"]
                if cell.samples and not cell.void:
                    figures = [f"{cell.cpu_us:.1f}", f"{cell.rate:,.0f}", f"{cell.p99_ms:.2f}"]
                lines.append(_line(row.workload.name, cell.peer, cell.setting, *figures))
        return lines

    def _memory(self) -> list[str]:
        lines = ["## Resident memory", "", "Must reach: 2 KiB per idle connection, growth below 2 MiB.", ""]
        lines += [
            _line("server", "setting", "KiB per idle connection", "growth under use, MiB", "verdict"),
            _line(*["---"] * 5),
        ]
        for entry in self.memory:
            idle = f"{entry.idle_bytes / 1024:.1f}" if entry.idle_bytes is not None else f"void: {entry.void}"
            growth = f"{entry.growth_bytes / 2**20:.1f}" if entry.growth_bytes is not None else "–"
            lines.append(_line(entry.peer, entry.setting, idle, growth, entry.verdict()))
        return lines

    def _crowds(self) -> list[str]:
        lines = ["## Idle websockets", "", "Must reach: 6 KiB per idle websocket, a message to 10,000 in 1 s.", ""]
        lines += [
            _line("server", "setting", "KiB per idle websocket", "message to 10,000, s", "verdict"),
            _line(*["---"] * 5),
        ]
        for entry in self.crowds:
            idle = f"{entry.idle_bytes / 1024:.1f}" if entry.idle_bytes is not None else f"void: {entry.void}"
            reached = f"{entry.broadcast_seconds:.2f}" if entry.broadcast_seconds is not None else "–"
            lines.append(_line(entry.peer, entry.setting, idle, reached, entry.verdict()))
        return lines


def _figure(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return f"**{cell.cpu_us:.1f}**" if cell.peer in (OURS, REFERENCE) else f"{cell.cpu_us:.1f}"


def _factor(value: float | None) -> str:
    return "–" if value is None else f"≤ {value:.2f}"


def _line(*fields: str) -> str:
    return "| " + " | ".join(fields) + " |"
