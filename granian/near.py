"""Names that are near to one that does not exist: the second sentence of errors about names."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any


def near(name: str, known: Iterable[str]) -> str | None:
    """The nearest of the known names, if one is near."""
    names = {item.lower(): item for item in known}
    found = get_close_matches(name.lower(), names, 1, NEARNESS)
    return names[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean '…'?`, or nothing."""
    found = near(name, known)
    return f" Did you mean '{found}'?" if found is not None else ""


def near_attributes(path: str, module: Any, name: str) -> str:
    """The hint for an attribute that a module does not have."""
    values = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    usual = next((item for item in USUAL if callable(values.get(item))), None)
    # A module that a module imports is no application.
    found = usual or near(name, (key for key, value in values.items() if not isinstance(value, ModuleType)))
    return f" Did you mean '{path}:{found}'?" if found is not None else ""


def near_modules(name: str, attribute: str | None, search: Sequence[Path]) -> str:
    """The hint for a module that there is not."""
    parent, _, last = name.rpartition(".")
    if parent and attribute is None:
        try:
            spec = importlib.util.find_spec(parent)
        except (ImportError, ValueError):
            spec = None
        if spec is not None and spec.submodule_search_locations is None:
            return f" Did you mean '{parent}:{last}'?"
    found = [path for folder in search for path in folder.iterdir() if not path.name.startswith((".", "_"))]
    modules = {path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").exists()}
    nearest = near(name, modules - {name})
    return "" if nearest is None else f" Did you mean '{nearest}{f':{attribute}' if attribute else ''}'?"


# The share of two names that must be equal.
NEARNESS = 0.6
# Names of applications in the order of their use; Django's modules have the second.
USUAL = ("app", "application", "asgi_app", "wsgi_app", "create_app", "make_app", "get_app")
