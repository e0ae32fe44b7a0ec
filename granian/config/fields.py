"""`option()`: one option in one place, with its default, flag, environment name and help."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .kinds import Flag, Kind, Number


@dataclass(frozen=True)
class Option:
    """An option of the command line and the environment."""

    flag: str
    kind: Kind
    help: str
    # The name of the variable without its prefix; made from the flag unless given.
    env: str = ""
    is_multiple: bool = False
    # One text may hold several values, with this between them.
    separator: str = ""
    # The default as the help shows it, where the value itself does not explain it.
    default_text: str | None = None
    # Nothing that applications, logs or representations of a config may show.
    is_secret: bool = False
    # A variable that other programs read as well, such as `PORT`; the own one comes before it.
    shared_env: str = ""
    # The version that brought it; empty: granian 2 if it has a place in the constructor of that, else 3.0.
    since: str = ""

    @property
    def key(self) -> str:
        """The name in a configuration file."""
        return self.flag.removeprefix("--")

    @property
    def environment(self) -> str:
        """The name of its environment variable."""
        return f"GRANIAN_{self.env or self.key.replace('-', '_').upper()}"

    @property
    def variables(self) -> tuple[str, ...]:
        """Its environment variables; the first one that is set counts."""
        return (self.environment, self.shared_env) if self.shared_env else (self.environment,)

    @property
    def idleness(self) -> str | None:
        """The rest of the help of an option that has no effect."""
        return self.help.removeprefix(IDLE) if self.help.startswith(IDLE) else None

    @property
    def help_with_unit(self) -> str:
        """The help, with what a number counts."""
        unit = self.kind.unit if isinstance(self.kind, Number) else ""
        return f"{self.help} ({unit})" if unit else self.help

    @property
    def flags(self) -> str:
        """The declaration for click."""
        return f"{self.flag}/--no-{self.key}" if isinstance(self.kind, Flag) else self.flag

    def convert(self, value: Any) -> Any:
        """The value to keep. For an option that may be repeated, one value is a list of one.

        Raises `ValueError`.
        """
        if not self.is_multiple:
            return self.kind.convert(value)
        items = value if _is_sequence(value) else [value]
        return tuple(self.kind.convert(item) for item in self._separated(items))

    def _separated(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if self.separator and isinstance(item, str):
                yield from filter(None, (part.strip() for part in item.split(self.separator)))
            else:
                yield item


def option(default: Any, flag: str, kind: Kind, help: str, **facts: Any) -> Any:
    """A dataclass field with its `Option` in the metadata."""
    made = Option(flag, kind, help, **facts)
    return dataclasses.field(default=default, repr=not made.is_secret, metadata={"option": made})


def options(flag: str, kind: Kind, help: str, **facts: Any) -> Any:
    """The same for an option that may be given several times."""
    return option((), flag, kind, help, is_multiple=True, **facts)


def options_of(config: type[Any]) -> Iterator[tuple[str, Option, Any]]:
    """Name, option and default of each field of a dataclass that is an option."""
    for field in dataclasses.fields(config):
        if "option" in field.metadata:
            yield field.name, field.metadata["option"], field.default


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


IDLE = "Without effect: "
