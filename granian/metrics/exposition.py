"""Metrics as text: Prometheus' own format, and OpenMetrics 1.0.

<https://prometheus.io/docs/instrumenting/exposition_formats/>,
<https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md>
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .families import Family, Labels

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PREFIX = "granian_"


def wants_openmetrics(accept: str) -> bool:
    """Whether a client with this Accept field prefers OpenMetrics, as Prometheus does."""
    qualities = {"text/plain": 0.0, "application/openmetrics-text": 0.0}
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind in qualities:
            quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
            try:
                qualities[kind] = max(qualities[kind], float(quality))
            except ValueError:
                continue
    return qualities["application/openmetrics-text"] > qualities["text/plain"]


def prometheus(families: Iterable[Family]) -> str:
    """The text of version 0.0.4."""
    lines: list[str] = []
    for family in families:
        name = _name(family)
        lines += [f"# HELP {name} {_escaped(family.help)}", f"# TYPE {name} {family.kind}", *_samples(family, name)]
    return "\n".join(lines) + "\n"


def openmetrics(families: Iterable[Family]) -> str:
    """The text of OpenMetrics.

    Every counter's sample must end in `_total` there. Those of granian 2 do not, so they are of kind `unknown`: their
    names are the same in both formats.
    """
    lines: list[str] = []
    for family in families:
        name = PREFIX + family.name
        kind = "unknown" if family.is_bare else family.kind
        lines += [f"# HELP {name} {_escaped(family.help)}", f"# TYPE {name} {kind}"]
        unit = next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), None)
        lines += [f"# UNIT {name} {unit}"] if unit else []
        lines += _samples(family, _name(family))
    return "\n".join([*lines, "# EOF"]) + "\n"


def _name(family: Family) -> str:
    is_total = family.kind == "counter" and not family.is_bare
    return f"{PREFIX}{family.name}{'_total' if is_total else ''}"


def _samples(family: Family, name: str) -> Iterator[str]:
    for sample in family.samples:
        yield f"{name}{sample.suffix}{_labels(sample.labels)} {sample.value!r}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items()) + "}"


def _escaped(text: str, quote: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text
