"""Writes `docs/conformance/http1.md`, the table of HTTP/1 cases, from the corpus of the engine's tests.

`python -m tools.http1_cases` writes the page. With `--check` it fails while the page is not what this would write. The
tests of `crates/proto/tests/corpus.rs` run each case whole, byte by byte and at every split.
"""

from __future__ import annotations

import sys
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

from tools.written import keep

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "crates" / "proto" / "corpus" / "h1"
FILE = ROOT / "docs" / "conformance" / "http1.md"
HEAD = """# HTTP/1 conformance

{count} cases of HTTP/1.1 and HTTP/1.0, each with the server's outcome: {outcomes}.

A case is a file of `crates/proto/corpus/h1`. `make test` feeds it to the engine whole, byte by byte and cut at every
place, and wants the same outcome each time. Where the specification leaves a choice, the stricter one is taken, since a
second parser on the path might see another request. The client ends its side behind the bytes of each case.

Written by `python -m tools.http1_cases`.
"""
TABLE = """
## {title}

| case | bytes | outcome | section |
| --- | --- | --- | --- |
"""


def text() -> str:
    """The page."""
    tables, outcomes, count = [], Counter[str](), 0
    for title, kind in (("Served", "valid"), ("Refused", "invalid")):
        rows = []
        for case in sorted((CORPUS / kind).glob("*.http")):
            outcome = _outcome(case.with_suffix(".txt").read_text())
            rows.append(f"| {case.stem} | {_shown(case.read_bytes())} | {outcome} | {_section(case.stem)} |\n")
            outcomes[f"refused with {outcome[:3]}" if kind == "invalid" else "served"] += 1
            count += 1
        tables.append(TABLE.format(title=title) + "".join(rows))
    words = ", ".join(f"{number} {name}" for name, number in outcomes.most_common())
    return HEAD.format(count=count, outcomes=words) + "".join(tables)


def _outcome(transcript: str) -> str:
    """What came of a case, in a few words: its requests in order, or the status and the reason of a refusal."""
    lines = transcript.splitlines()
    served = [_request(lines[index:]) for index, line in enumerate(lines) if line.startswith("request ")]
    refusal = next((line.split(" ", 2)[1:] for line in lines if line.startswith("refused ")), None)
    if refusal is None:
        closes = ", then close" if lines[-1] == "> connection: close" else ""
        return "; ".join(served) + closes
    status, reason = refusal
    behind = f", behind {served[0]}" if served else ""
    return f"{status}: {reason}{behind}"


def _request(lines: list[str]) -> str:
    """Method and target of the request that begins here, and its body."""
    _, method, target, *_ = lines[0].split(" ")
    data = next((line for line in lines[1:] if not line.startswith("  ")), "")
    body = f" with `{data.removeprefix('data ')}`" if data.startswith("data ") else ""
    return f"`{method} {target}`{body}".replace("|", "\\|")


def _shown(data: bytes) -> str:
    """The bytes, as Python writes them, and the number of those that are left out."""
    left = len(data) - MOST
    written = repr(data[:MOST])[2:-1].replace("|", "\\|").replace("`", "\\x60")
    return f"`{written}`" + (f" and {left} more" if left > 0 else "")


def _section(case: str) -> str:
    found = next((section for names, section in SECTIONS for name in names.split() if fnmatchcase(case, name)), None)
    if found is None:
        raise ValueError(f"there is no section for the case {case!r}")
    number, _, section = found.partition(" ")
    return f"[RFC {number}, {section}](https://www.rfc-editor.org/rfc/rfc{number}#section-{section})"


# Bytes of a case that are shown.
MOST = 120
# Names of cases, and the RFC and its section that decides them. The first one that fits counts.
SECTIONS = (
    ("empty-lines-* too-many-empty-lines bare-lf-* *-bare-lf", "9112 2.2"),
    ("bare-cr-* *-bare-cr", "9112 2.2"),
    ("space-first folded-first", "9112 2.2"),
    ("http-1.0* http-0.9 http-1 http-1.10 http-1.2 http-3.0 http-lower-case other-protocol tls-hello", "9112 2.3"),
    ("http2-*", "9113 3.4"),
    ("*method* connect* options-asterisk asterisk-get", "9110 9.1"),
    (
        "absolute-form* host-missing-absolute-form target-of-other-scheme target-with-user target-without-host",
        "9112 3.2.2",
    ),
    ("any-query fragment* *target* no-target", "9112 3.2"),
    ("*host* empty-host", "9112 3.2"),
    (
        "plain no-version two-spaces tab-for-space space-at-end-of-line nothing-but-spaces cut-off-request-line "
        "second-request-bad",
        "9112 3",
    ),
    ("folded-* trailer-folded", "9112 5.2"),
    ("*-value spaces-around-value no-space-after-colon latin-1-value delete-in-value", "9110 5.5"),
    ("repeated-fields many-fields", "9110 5.3"),
    ("names-in-capitals every-token-mark *name no-colon space-before-colon", "9112 5.1"),
    ("cut-off-*", "9112 8"),
    ("chunk-extension-* chunked-extensions", "9112 7.1.1"),
    ("chunked-trailers chunked-forbidden-trailers trailer-*", "9112 7.1.2"),
    ("chunked-and-length length-and-chunked chunked-http-1.0", "9112 6.1"),
    ("chunk-* chunked chunked-empty chunked-hex chunked-line-ends-inside", "9112 7.1"),
    ("chunked-* coding-*", "9112 6.1"),
    ("length*", "9112 6.2"),
    ("pipelined", "9112 9.3.2"),
    ("close", "9112 9.6"),
    ("expectation*", "9110 10.1.1"),
    ("upgrade*", "9110 7.8"),
)

if __name__ == "__main__":
    sys.exit(keep(FILE, text()))
