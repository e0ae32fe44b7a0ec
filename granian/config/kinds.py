"""`Kind`: the kinds of values that options take, and their conversion from Python values.

`granian.cli` converts texts of the command line and the environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any


class Kind:
    """The kind of one value. `convert` returns the value to keep, and raises `ValueError` with the fault."""

    def convert(self, value: Any) -> Any:
        return value


class Flag(Kind):
    """Yes or no."""

    def convert(self, value: Any) -> bool:
        return bool(value)


@dataclass(frozen=True)
class Text(Kind):
    """A string; a pattern must be a regular expression."""

    is_pattern: bool = False
    # Where several may be given, a variable has one in each line.
    has_spaces: bool = False

    def convert(self, value: Any) -> str:
        text = value.pattern if isinstance(value, re.Pattern) else value
        if not isinstance(text, str):
            raise ValueError(f"{value!r} is no text")
        if self.is_pattern:
            try:
                re.compile(text)
            except re.error as error:
                raise ValueError(f"{text!r} is no regular expression: {error}") from None
        return text


class UrlPath(Text):
    """The path of a URL, with a slash in front and none behind; that of the root is empty."""

    def convert(self, value: Any) -> str:
        path = super().convert(value).strip("/")
        return f"/{path}" if path else ""


class ProxyAddress(Text):
    """An address or network, `unix` for the peers of Unix sockets, `*` for everybody."""

    def convert(self, value: Any) -> str:
        text = super().convert(value)
        if text in ("*", "unix"):
            return text
        try:
            if "%" in text:
                raise ValueError("an address with a scope")
            network = ipaddress.ip_network(text)
            return str(network) if "/" in text else str(network.network_address)
        except ValueError:
            raise ValueError(f"{text!r} is no address, network (10.0.0.0/8), unix or *") from None


@dataclass(frozen=True)
class Number(Kind):
    """A whole number; the bounds are those of the command line."""

    minimum: int | None = None
    maximum: int | None = None
    # In Python code a smaller value counts as the minimum.
    is_raised: bool = False
    # In Python code the minimum is this; a smaller value that is not negative counts as this.
    least: float | None = None
    # The maximum holds in Python code as well, not only on the command line.
    is_hard: bool = False
    # What it counts, as the help shows it.
    unit: str = ""

    def convert(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{value!r} is no whole number")
        return self._bounded(value)

    def _bounded(self, value: float) -> float:
        if self.minimum is not None and value < self.minimum:
            if self.is_raised:
                return self.minimum
            if self.least is not None and value >= 0:
                return max(value, self.least)
            raise ValueError(f"{value} is less than {self.minimum}")
        if self.is_hard and self.maximum is not None and value > self.maximum:
            raise ValueError(f"{value} is more than {self.maximum}")
        return value


@dataclass(frozen=True)
class Seconds(Number):
    """A time in seconds, or as a text such as `1m30s`."""

    def convert(self, value: Any) -> float:
        if isinstance(value, str):
            value = parse_duration(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is no time in seconds")
        return self._bounded(value)


@dataclass(frozen=True)
class Count(Number):
    """A whole number, or `auto` for what the resources of the process suggest."""

    suggested: Callable[[], int] = int

    def convert(self, value: Any) -> float:
        return self.suggested() if value == AUTO else super().convert(value)


@dataclass(frozen=True)
class Milliseconds(Number):
    """A time in milliseconds, or as a text with its unit, such as `30s`."""

    unit: str = "ms"

    def convert(self, value: Any) -> float:
        if isinstance(value, str):
            value = parse_milliseconds(value)
        return super().convert(value)


class Fraction(Kind):
    """A number that need not be whole."""

    def convert(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is no number")
        return value


class Octal(Number):
    """Permissions of a file."""


@dataclass(frozen=True)
class Choice(Kind):
    """A member of an enum of strings."""

    members: type[Enum]
    # Other strings may be names that Python code has registered.
    is_open: bool = False

    def convert(self, value: Any) -> Any:
        try:
            return self.members(value)
        except ValueError:
            if self.is_open and isinstance(value, str) and value:
                return str(value)
        known = ", ".join(str(member.value) for member in self.members)
        raise ValueError(f"{value!r} is none of {known}")


class Presence(Enum):
    """The file that must exist at a path."""

    ANYTHING = "anything"
    EXISTING = "existing"
    FILE = "file"
    FILE_OR_NOTHING = "file or nothing"
    DIRECTORY = "directory"


@dataclass(frozen=True)
class FilePath(Kind):
    """A path, kept absolute; what must be there is checked on the command line."""

    presence: Presence = Presence.ANYTHING

    def convert(self, value: Any) -> Path:
        if not isinstance(value, str | os.PathLike) or not str(value):
            raise ValueError(f"{value!r} is no path")
        # An abstract name of a Unix socket is no file.
        return Path(value) if str(value).startswith("@") else Path(value).absolute()


class Dictionary(Kind):
    """A mapping; on the command line, a file of JSON."""

    def convert(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"{value!r} is no mapping")
        return dict(value)


def parse_milliseconds(text: str) -> int:
    """The milliseconds that `text` means, a number without a unit as well; raises `ValueError`."""
    return int(text) if text.isascii() and text.isdecimal() else round(parse_duration(text) * 1000)


def parse_duration(text: str) -> float:
    """The seconds that `text` means; raises `ValueError`."""
    if text.isascii() and text.isdecimal():
        return int(text)
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a valid duration: whole seconds, or a text such as 1m30s or 500ms")
    days, hours, minutes, seconds, milliseconds = (int(part or 0) for part in match.groups())
    whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return whole + milliseconds / 1000 if milliseconds else whole


_DURATION = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?")
# The text of a count that is not given as a number.
AUTO = "auto"
