"""Optional packages: the module, or `None` where it is not installed. Each is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = frozenset({"anyio", "dotenv", "setproctitle", "watchfiles"})


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(name)
    try:
        module = importlib.import_module(name)
    except ImportError:
        module = None
    globals()[name] = module
    return module
