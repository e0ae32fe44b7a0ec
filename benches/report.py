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
            parts += ["![CPU per request, by workload](results.png)", "", *self._summary(), ""]
            parts += [*self._latency(), *self._details(), ""]
        if self.memory:
            parts += [*self._memory(), ""]
        if self.crowds:
            parts += [*self._crowds(), ""]
        return "\n".join(parts)

    def _summary(self) -> list[str]:
        peers = self._racers()
        lines = [
            "## Server CPU per answered request, µs",
            "",
            "Without options; in brackets the best of the server's settings, where that is another one. × is ours over",
            "granian's without options, or over the goal's server, and it judges; × best is that of the best ones.",
        ]
        lines += [
            "",
            _line(
                "workload",
                *(f"{peer} {self.versions[peer]}" for peer in peers),
                "×",
                "× best",
                "must",
                "aim",
                "verdict",
            ),
            _line(*["---"] * (len(peers) + 6)),
        ]
        for row in self.rows:
            goal = row.workload.goal
            figures = [_figure(row.judged(peer), row.best(peer)) for peer in peers]
            of = "" if goal.of == REFERENCE else f" × {goal.of}"
            must = [_factor(goal.must) + of] if goal.must is not None else []
            must += [goal.must_beat] if goal.must_beat else []
            must += [f"p99 ≤ {', '.join(goal.tail)}"] if goal.tail else []
            aim = ([_factor(goal.aim)] if goal.aim is not None else []) + ([goal.aim_beat] if goal.aim_beat else [])
            ratios = [_ratio(row.ratio(goal.of)), _ratio(row.best_ratio())]
            bounds = [", ".join(must) or "–", ", ".join(aim) or "–"]
            lines.append(_line(row.workload.name, *figures, *ratios, *bounds, row.verdict()))
        return lines

    def _latency(self) -> list[str]:
        """Rows whose load generator tells percentiles."""
        peers = self._racers()
        rows = [row for row in self.rows if any(cell.is_valid and cell.p50_ms for cell in row.cells)]
        if not rows:
            return []
        lines = ["## Latency without options, p50 / p99 / p99.9 in ms", ""]
        lines += [_line("workload", *(f"{peer} {self.versions[peer]}" for peer in peers))]
        lines += [_line(*["---"] * (len(peers) + 1))]
        lines += [_line(row.workload.name, *(_percentiles(row.judged(peer)) for peer in peers)) for row in rows]
        return [*lines, ""]

    def _racers(self) -> list[str]:
        return [name for name in self.versions if any(row.best(name) for row in self.rows)]

    def _details(self) -> list[str]:
        lines = ["## Every server and setting", ""]
        lines += [_line("workload", "server", "setting", "CPU µs", "requests/s", "p50 ms", "p99 ms", "p99.9 ms")]
        lines += [_line(*["---"] * 8)]
        for row in self.rows:
            for cell in row.cells:
                figures = [f"void: {cell.void}", *["–"] * 4]
                if cell.is_valid:
                    tail = [f"{value:.2f}" if value else "–" for value in (cell.p50_ms, cell.p99_ms, cell.p999_ms)]
                    figures = [f"{cell.cpu_us:.1f}", f"{cell.rate:,.0f}", *tail]
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


def _figure(judged: Cell | None, best: Cell | None) -> str:
    if best is None:
        return "–"
    figure = f"{judged.cpu_us:.1f}" if judged is not None else "–"
    if best.peer in (OURS, REFERENCE):
        figure = f"**{figure}**"
    return figure if best is judged else f"{figure} ({best.cpu_us:.1f})"


def _percentiles(cell: Cell | None) -> str:
    if cell is None or not cell.p50_ms:
        return "–"
    return f"{cell.p50_ms:.1f} / {cell.p99_ms:.1f} / {cell.p999_ms:.1f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _factor(value: float) -> str:
    return f"≤ {value:.2f}"


def _line(*fields: str) -> str:
    return "| " + " | ".join(fields) + " |"
