"""Texts as an application would answer with them, by the names of files: JSON and HTML, of 10 and of 100 KiB."""

import json
import random
import re

_WORDS = re.findall(
    r"\w+",
    "account active address amount archive balance billing category change city comment confirmed country created "
    "currency customer delivery description discount email error feature first group history image index invoice item "
    "language last limit list location message name note number offer order owner page payment phone price product "
    "project quantity rating reference region report request result review role sale schedule score search section "
    "service session shipping status stock store street summary support tag task team title total type unit updated",
)


def _json(size: int) -> bytes:
    chance = random.Random(size)
    rows: list[dict[str, object]] = []
    while len(json.dumps(rows)) < size:
        rows.append(
            {
                "id": chance.randrange(10**9),
                "name": " ".join(chance.choices(_WORDS, k=3)),
                "price": chance.randrange(10**5) / 100,
                "created": f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T08:49:37Z",
                "tags": chance.choices(_WORDS, k=4),
                "is_active": chance.random() < 0.5,
                "note": " ".join(chance.choices(_WORDS, k=12)),
            }
        )
    return json.dumps(rows).encode()


def _html(size: int) -> bytes:
    chance = random.Random(size + 1)
    parts = ["<!doctype html><html><head><title>List</title></head><body><table class='items'>"]
    length = 0
    while length < size:
        words = chance.choices(_WORDS, k=10)
        row = (
            f"<tr class='row {words[0]}'><td><a href='/items/{chance.randrange(10**6)}'>{words[1]} {words[2]}</a></td>"
        )
        parts.append(row + f"<td>{' '.join(words[3:])}</td></tr>\n")
        length += len(parts[-1])
    return "".join([*parts, "</table></body></html>"]).encode()


TEXTS = {
    "10k.json": _json(10 * 1024),
    "10k.html": _html(10 * 1024),
    "100k.json": _json(100 * 1024),
    "100k.html": _html(100 * 1024),
}
TYPES = {"json": "application/json", "html": "text/html; charset=utf-8"}
