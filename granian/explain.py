"""`explained()`: a configuration as a file of TOML that says where each value comes from, secrets masked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from enum import Enum
from os import PathLike
from typing import Any

from .config import Config
from .config.kinds import Octal
from .config.protocols import value_of
from .config.sections import sections


def explained(config: Config, origin: Callable[[str], str]) -> Iterator[str]:
    """The lines: sections as comments, a key with its value, and its origin as a comment.

    `origin` gives that of an option by its name in the constructor. An option without a value is a comment.
    """
    yield f"app = {toml(config.target)}  # {origin('target')}" if config.target != UNNAMED else "# app is not set"
    for section in sections():
        yield f"\n# {section.title}"
        for name, option, _ in section.options:
            value = _value(config, name)
            shown = f"0o{value:o}" if isinstance(option.kind, Octal) and value is not None else toml(value)
            shown = '"***"' if option.is_secret else shown
            if value is None or value == ():
                yield f"# {option.key} is not set"
            else:
                yield f"{option.key} = {shown}  # {origin(name)}"


def _value(config: Config, name: str) -> Any:
    """The value that counts, computed from others where it was not given."""
    value = value_of(config, name)
    return getattr(config, f"{name}_effective") if value is None and name in COMPUTED else value


def toml(value: Any) -> str:
    """The value in the notation of TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(int(value) if value == int(value) else value)
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{toml(str(key))} = {toml(item)}' for key, item in value.items())}}}"
        case Enum():
            return toml(str(value.value))
        case str() | PathLike():
            # The escapes of JSON are those of TOML, but for the character that JSON leaves as it is.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return toml(str(value))


# Options without a default of their own.
COMPUTED = ("backpressure", "drain_timeout")
# The target of a configuration that is only looked at and names no application.
UNNAMED = ":"
