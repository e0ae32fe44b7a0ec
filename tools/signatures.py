"""Writes `granian/config/keywords.py`, the types of the constructors' keywords, from the table of options.

`python -m tools.signatures` writes the file. With `--check` it fails while the file is not what this would write.
"""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Any

from granian.config import Config, Option, kinds
from granian.server.embed import is_embeddable
from tools.written import keep

FILE = Path(__file__).parent.parent / "granian" / "config" / "keywords.py"
HEAD = '''"""`Keywords`, `EmbeddedKeywords`: the types of what `Granian(...)` and `embed.Server(...)` take by name.

Written by `python -m tools.signatures` from the table in `config.py`.
size: it is one table, with a row for each option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..constants import (
    ForwardedHeaders,
    HTTPModes,
    Interfaces,
    Loops,
    Overload,
    RuntimeModes,
    SSLProtocols,
    TaskImpl,
)
from ..http import HTTP1Settings, HTTP2Settings
from ..log import LogFormats, LogLevels
'''
SPECIAL = {
    "http1_settings": ("HTTP1Settings", "Settings of HTTP/1."),
    "http2_settings": ("HTTP2Settings", "Settings of HTTP/2."),
    "reload_filter": ("Any", "A filter class of watchfiles for --reload."),
    "factory": ("bool", "The target makes the application when called."),
}


def text() -> str:
    """The file."""
    fields = [item for item in dataclasses.fields(Config) if item.name not in ("target", "ssl_ticket_seed")]
    common = [item for item in fields if is_embeddable(item.name)]
    rest = [item for item in fields if not is_embeddable(item.name)]
    return "".join(
        [
            HEAD,
            '\n\nclass EmbeddedKeywords(TypedDict, total=False):\n    """The options of an embedded server."""\n\n',
            *map(_row, common),
            '\n\nclass Keywords(EmbeddedKeywords, total=False):\n    """All options."""\n\n',
            *map(_row, rest),
        ]
    )


def _row(field: dataclasses.Field[Any]) -> str:
    option: Option | None = field.metadata.get("option")
    if option is None or field.name in SPECIAL:
        kind, help = SPECIAL[field.name]
        return _written(field.name, f"{kind} | None", help)
    one = _type(option.kind)
    kind = f"Sequence[{one}] | {one} | None" if option.is_multiple else f"{one} | None"
    return _written(field.name, kind, f"{option.help_with_unit}{_facts(option, field.default)}. `{option.flag}`")


def _written(name: str, kind: str, help: str) -> str:
    lines = textwrap.wrap(help, 108)
    body = f'    """{lines[0]}"""\n' if len(lines) == 1 else '    """' + "\n    ".join(lines) + '\n    """\n'
    return f"    {name}: {kind}\n{body}"


def _facts(option: Option, default: Any) -> str:
    """Unit, range and default."""
    kind = option.kind
    facts = []
    if isinstance(kind, kinds.Seconds):
        facts.append("seconds, or a text such as `1m30s`")
    if isinstance(kind, kinds.Number) and kind.minimum is not None:
        facts.append(f"from {kind.minimum:,}" if kind.maximum is None else f"{kind.minimum:,} to {kind.maximum:,}")
    if option.default_text or default not in (None, (), ""):
        shown = getattr(default, "value", default)
        facts.append(f"default {option.default_text or shown}")
    return f" ({'; '.join(facts)})" if facts else ""


def _type(kind: kinds.Kind) -> str:
    match kind:
        case kinds.Flag():
            return "bool"
        case kinds.Seconds():
            return "float | str"
        case kinds.Fraction():
            return "float"
        case kinds.Count():
            return "int | str"
        case kinds.Number():
            return "int"
        case kinds.Choice():
            return f"{kind.members.__name__} | str"
        case kinds.FilePath():
            return "Path | str"
        case kinds.Dictionary():
            return "Mapping[str, Any]"
    return "str"


if __name__ == "__main__":
    sys.exit(keep(FILE, text()))
