"""Optional packages: the module, or `None` where it is not installed."""

from __future__ import annotations

import importlib
from types import ModuleType


def optional(name: str) -> ModuleType | None:
    """The module `name` if it can be imported."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


anyio = optional("anyio")
dotenv = optional("dotenv")
setproctitle = optional("setproctitle")
watchfiles = optional("watchfiles")
