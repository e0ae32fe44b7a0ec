"""Writes `docs/granian.schema.json`, the JSON Schema of configuration files, from the table of options.

`python -m tools.schema` writes the file. With `--check` it fails while the file is not what this would write.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from granian.config import Option
from granian.config.file import APP
from granian.config.schema import Schema, schema_of
from granian.config.sections import sections
from tools.written import keep

FILE = Path(__file__).parent.parent / "docs" / "granian.schema.json"


def text() -> str:
    """The file."""
    rows = [row for section in sections() for row in section.options]
    properties = {option.key: _property(option, default) for _, option, default in rows}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Options of granian, in granian.toml or [tool.granian] of pyproject.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {APP: {"type": "string", "description": "Application to serve: module:attribute"}, **properties},
    }
    return json.dumps(schema, indent=2) + "\n"


def _property(option: Option, default: Any) -> Schema:
    described = {**schema_of(option), "description": option.help_with_unit}
    if default in (None, ()):
        return described
    return described | {"default": default.value if isinstance(default, Enum) else default}


if __name__ == "__main__":
    sys.exit(keep(FILE, text()))
