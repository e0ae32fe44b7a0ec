"""The plot of a results.json: one panel per workload, one bar per server. Runs in an environment with matplotlib."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLUMNS = 4
COLORS = {"ours": "#2b6cb0", "granian": "#dd6b20"}
OTHERS = "#a0aec0"


def draw(results: dict[str, Any], path: Path) -> None:
    rows = [row for row in results["rows"] if _figures(row)]
    lines = -(-len(rows) // COLUMNS)
    figure, axes = pyplot.subplots(lines, COLUMNS, figsize=(3.4 * COLUMNS, 2.1 * lines), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, row in zip(axes.flat, rows, strict=False):
        _panel(axis, row, results["versions"])
    figure.suptitle("Server CPU per answered request without options, µs (shorter is better)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _panel(axis: Any, row: dict[str, Any], versions: dict[str, str]) -> None:
    figures = sorted(_figures(row).items(), key=lambda item: -item[1])
    names = [name for name, _ in figures]
    axis.axis("on")
    bars = axis.barh(
        [f"{name} {versions[name]}" for name in names],
        [value for _, value in figures],
        color=[COLORS.get(name, OTHERS) for name in names],
    )
    axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    axis.margins(x=0.18)
    axis.set_title(row["workload"], fontsize=9)
    axis.tick_params(labelsize=7)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _figures(row: dict[str, Any]) -> dict[str, float]:
    """The figure of each server without options."""
    judging = (cell for cell in row["cells"] if cell.get("judges") and cell["cpu_us"] is not None)
    return {cell["peer"]: cell["cpu_us"] for cell in judging if not cell["void"]}


if __name__ == "__main__":
    source = Path(sys.argv[1])
    draw(json.loads(source.read_text()), source.with_suffix(".png"))
