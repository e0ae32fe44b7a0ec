"""`read_config()`: the options in a configuration file of TOML, with their types checked."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..hints import hint_of
from ..near import did_you_mean
from .fields import Option
from .schema import fault_of
from .sections import sections

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class ConfigFile:
    """Options that a file gives."""

    # The file as it was named, for messages.
    name: str = ""
    # By the names of the constructor; `app` is the application.
    values: dict[str, Any] = field(default_factory=dict)


def read_config(given: str | None) -> ConfigFile:
    """The options of the file that was given, or of `[tool.granian]` in `pyproject.toml` of the working directory.

    A `pyproject.toml` without that table, and none at all, are fine unless given.

    # Errors
    `ConfigurationError` of the option `config`; its message names the file, and the key.
    """
    path = Path(given or PYPROJECT)
    name = str(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if given is None:
            return ConfigFile()
        raise ConfigurationError("config", f"{name}: there is no such file") from None
    except OSError as error:
        raise ConfigurationError("config", f"{name}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError("config", f"{name} is no TOML: {error}") from None
    if path.name == PYPROJECT:
        table = table.get("tool", {}).get("granian")
        if table is None and given is None:
            return ConfigFile()
    if not isinstance(table, dict):
        raise ConfigurationError("config", f"{name}: there is no table [tool.granian]")
    known = {option.key: (name, option) for section in sections() for name, option, _ in section.options}
    return ConfigFile(name, dict(_option(known, name, key, value) for key, value in table.items()))


def _option(known: dict[str, tuple[str, Option]], file: str, key: str, value: Any) -> tuple[str, Any]:
    """Name and value of one key; `known` has the options by their keys."""
    # The spelling of Python does as well.
    spelled = key.replace("_", "-")
    if spelled == APP:
        fault = None if isinstance(value, str) else f"{value!r} is no text such as 'module:attribute'"
        found = APP, value
    elif spelled in known:
        name, option = known[spelled]
        fault = fault_of(option, value)
        found = name, [value] if option.is_multiple and not isinstance(value, list) else value
    else:
        raise ConfigurationError("config", f"{file}: there is no option {key!r}.{_hint(key, known)}")
    if fault is not None:
        raise ConfigurationError("config", f"{file}: {key}: {fault}")
    return found


def _hint(key: str, known: dict[str, tuple[str, Option]]) -> str:
    spelled = key.replace("_", "-")
    for found, (name, _) in known.items():
        if name.replace("_", "-") == spelled:
            return f" Here it is {found!r}."
    foreign = hint_of(f"--{spelled}")
    if foreign is None:
        return did_you_mean(spelled, [*known, APP])
    return f" Here it is {re.sub(FLAG, QUOTED, foreign)}."


FLAG, QUOTED = r"--([a-z0-9-]+)", r"'\1'"
PYPROJECT = "pyproject.toml"
# The key of the application.
APP = "app"
