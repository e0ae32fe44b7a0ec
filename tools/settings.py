"""Writes the tables of `docs/settings.md` from the table of options; the texts around them are written by hand.

`python -m tools.settings` writes the page. With `--check` it fails while the page is not what this would write.
"""

from __future__ import annotations

import re
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from granian.config import Config, Option, kinds
from granian.config.sections import Section, sections
from tools.written import keep

FILE = Path(__file__).parent.parent / "docs" / "settings.md"
HEAD = "| option | variable, key | value | default | what it does | since |\n| --- | --- | --- | --- | --- | --- |\n"


def text(page: str) -> str:
    """The page with its tables written anew: each stands between a `<!-- options: TITLE -->` and a `<!-- end -->`."""
    left = {section.title: section for section in sections()}

    def table(found: re.Match[str]) -> str:
        section = left.pop(found["title"], None)
        if section is None:
            raise ValueError(f"there is no section {found['title']!r}")
        return f"<!-- options: {section.title} -->\n{_table(section)}<!-- end -->"

    written = PLACE.sub(table, page)
    if left:
        raise ValueError(f"the page has no place for {', '.join(left)}")
    return written


def _table(section: Section) -> str:
    return HEAD + "".join(map(_row, *zip(*section.options, strict=True)))


def _row(name: str, option: Option, default: Any) -> str:
    flags = f"`{option.flags.replace('/', ' / ')}`"
    names = [*(f"`{variable}`" for variable in option.variables), f"`{option.key}`"]
    if name != option.key.replace("-", "_"):
        names.append(f"in Python `{_in_python(name)}`")
    what = option.idleness or option.help
    cells = (flags, ", ".join(names), _value(option), _default(option, default), what, _since(name, option))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _in_python(name: str) -> str:
    version, _, setting = name.partition("_")
    return f"{version.upper()}Settings.{setting}" if version in ("http1", "http2") else name


def _value(option: Option) -> str:
    kind = option.kind
    value = _kind(kind) + _range(kind)
    return f"{value}, repeated" if option.is_multiple else value


def _kind(kind: kinds.Kind) -> str:
    match kind:
        case kinds.Choice():
            known = ", ".join(f"`{member.value}`" for member in kind.members)
            return f"{known}, or a registered name" if kind.is_open else known
        case kinds.FilePath():
            return PLACES[kind.presence]
        case kinds.Number(unit=unit) if unit:
            return unit
        case kinds.Text(is_pattern=True):
            return "regular expression"
    return next(word for known, word in WORDS.items() if isinstance(kind, known))


def _range(kind: kinds.Kind) -> str:
    if not isinstance(kind, kinds.Number) or isinstance(kind, kinds.Octal) or kind.minimum is None:
        return ""
    if kind.maximum is None:
        return f", from {kind.minimum:,}" if kind.minimum else ""
    return f", {kind.minimum:,} to {kind.maximum:,}"


def _default(option: Option, default: Any) -> str:
    if option.default_text is not None:
        return option.default_text
    if isinstance(default, bool):
        return "on" if default else "off"
    if default in (None, (), ""):
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _since(name: str, option: Option) -> str:
    """Options of granian 2 are those of its constructor, which are positional, and of its settings of HTTP."""
    fields = Config.__dataclass_fields__
    return option.since or ("3.0" if name in fields and fields[name].kw_only else "2")


PLACE = re.compile(r"<!-- options: (?P<title>[^\n]*) -->\n.*?<!-- end -->", re.S)
PLACES = {
    kinds.Presence.ANYTHING: "path",
    kinds.Presence.EXISTING: "path",
    kinds.Presence.FILE: "file",
    kinds.Presence.FILE_OR_NOTHING: "path of a file",
    kinds.Presence.DIRECTORY: "directory",
}
# The first kind that fits counts.
WORDS: dict[type[kinds.Kind], str] = {
    kinds.Flag: "yes or no",
    kinds.Seconds: "seconds",
    kinds.Octal: "octal number",
    kinds.Count: "whole number or `auto`",
    kinds.Number: "whole number",
    kinds.Fraction: "number",
    kinds.UrlPath: "path of a URL",
    kinds.ProxyAddress: "address, network, `unix` or `*`",
    kinds.Dictionary: "JSON file",
    kinds.Kind: "text",
}

if __name__ == "__main__":
    sys.exit(keep(FILE, text(FILE.read_text())))
