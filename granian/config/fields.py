"""`option()`: everything about one option in one place: flag, environment name, help, bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NO_DEFAULT = dataclasses.MISSING


@dataclass(frozen=True)
class Option:
    """An option of the command line; its type is one of the kinds that `cli.py` knows."""

    flag: str
    kind: str
    help: str
    env: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    choices: Any = None
    multiple: bool = False
    hidden: bool = False
    show_default: str | None = None
    secondary: str | None = None
    # Another name for the keyword of `Granian`, where it differs from the parameter on the command line.
    check: Callable[[Any], None] | None = None


def option(default: Any, flag: str, kind: str, help: str, **facts: Any) -> Any:
    """A dataclass field with its `Option` in the metadata."""
    return dataclasses.field(default=default, metadata={"option": Option(flag, kind, help, **facts)})


def keyword(default: Any = None) -> Any:
    """A field that only the Python API has."""
    return dataclasses.field(default=default)


def options_of(config: type) -> dict[str, tuple[Option, Any]]:
    """The options of a config class with their defaults, by field name, in order."""
    return {
        field.name: (field.metadata["option"], field.default)
        for field in dataclasses.fields(config)
        if "option" in field.metadata
    }
