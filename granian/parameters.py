"""The options of the table as parameters of click, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .config import Option, kinds
from .config.kinds import Presence

if TYPE_CHECKING:
    EnumChoice = click.Choice[str]
    IntParamType = click.ParamType[int]
    TextParamType = click.ParamType[str]
else:
    EnumChoice, IntParamType, TextParamType = click.Choice, click.ParamType, click.ParamType


class Duration(click.IntRange):
    """Seconds, or a text such as `1d2h3m4s` or `500ms`."""

    name = "duration"

    def __init__(self, min: int | None = None, max: int | None = None) -> None:
        super().__init__(min=min, max=max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Seconds within the bounds."""
        if value is None:
            return None
        try:
            seconds = value if isinstance(value, int | float) else kinds.parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self.min is not None and seconds < self.min:
            self.fail(f"{value!r} is less than the minimum allowed value of {self.min} seconds", param, ctx)
        if self.max is not None and seconds > self.max:
            self.fail(f"{value!r} is greater than the maximum allowed value of {self.max} seconds", param, ctx)
        return seconds


class MillisecondsType(click.IntRange):
    """Milliseconds, or a text with its unit, such as `30s`."""

    name = "milliseconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Milliseconds within the bounds."""
        try:
            number = kinds.parse_milliseconds(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return super().convert(number, param, ctx)


class CountType(click.IntRange):
    """A number, or `auto`."""

    name = "integer or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number or the text."""
        return value if value == kinds.AUTO else super().convert(value, param, ctx)


class DictionaryFile(click.Path):
    """The path of a file of JSON; a configuration file may have the dictionary itself."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path or the dictionary."""
        return value if isinstance(value, dict) else super().convert(value, param, ctx)


class Line(TextParamType):
    """A text with spaces; a variable has one a line."""

    name = "text"

    def split_envvar_value(self, value: str) -> list[str]:
        """The lines that are not empty."""
        return [line.strip() for line in value.splitlines() if line.strip()]


class OctalIntType(IntParamType):
    """Permissions of a file: octal with a 0 in front or in three digits, any other number is decimal."""

    name = "octal integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        if not isinstance(value, str):
            return value
        try:
            return int(value, 8 if value.startswith("0") or len(value) == THREE_DIGITS else 10)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class EnumType(EnumChoice):
    """A member of an enum, by its value, in any case unless `case_sensitive`."""

    def __init__(self, enum: type[Enum], case_sensitive: bool = False) -> None:
        self._enum = enum
        super().__init__([str(member.value) for member in enum], case_sensitive=case_sensitive)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The member."""
        if value is None or isinstance(value, self._enum):
            return value
        return self._enum(super().convert(value, param, ctx))


def option(*declarations: str, **attributes: Any) -> Callable[[Any], Any]:
    """`click.option` that shows its default and its environment name."""
    return click.option(*declarations, **{"show_envvar": True, "show_default": True, **attributes})


def _pretty_print_default(value: Any) -> Any:
    """The default as the help shows it; plugins make options of their own with it."""
    if isinstance(value, bool):
        return "enabled" if value else "disabled"
    return str(value.value) if isinstance(value, Enum) else value


def declare(name: str, one: Option, default: Any, read: Callable[..., Any]) -> click.Option:
    """The option for click; `read` makes the dictionary of a file."""
    default_text: bool | str = one.default_text or True
    if isinstance(default, bool | Enum):
        default_text = _pretty_print_default(default)
    return click.Option(
        [one.flags, name],
        default=() if one.is_multiple else default,
        type=_type(one.kind),
        multiple=one.is_multiple,
        help=one.help_with_unit,
        envvar=one.variables if one.shared_env else one.environment,
        show_envvar=True,
        show_default=default_text,
        callback=read if isinstance(one.kind, kinds.Dictionary) else None,
    )


def _type(kind: kinds.Kind) -> Any:
    match kind:
        case kinds.Flag():
            return bool
        case kinds.Fraction():
            return float
        case kinds.Seconds():
            return Duration(kind.minimum, kind.maximum)
        case kinds.Milliseconds():
            return MillisecondsType(kind.minimum, kind.maximum)
        case kinds.Octal():
            return OctalIntType()
        case kinds.Count():
            return CountType(kind.minimum, kind.maximum)
        case kinds.Number():
            return click.IntRange(kind.minimum, kind.maximum)
        case kinds.Choice():
            return EnumType(kind.members)
        case kinds.Text(has_spaces=True):
            return Line()
        case kinds.FilePath():
            return _path_type(kind.presence)
        case kinds.Dictionary():
            return DictionaryFile(exists=True, dir_okay=False, path_type=Path)
    return str


def _path_type(presence: Presence) -> click.Path:
    return click.Path(
        exists=presence not in (Presence.ANYTHING, Presence.FILE_OR_NOTHING),
        file_okay=presence is not Presence.DIRECTORY,
        dir_okay=presence not in (Presence.FILE, Presence.FILE_OR_NOTHING),
        path_type=Path,
    )


THREE_DIGITS = 3
