"""The values that options take in a configuration file: as JSON Schema, and the check of one value against it."""

from __future__ import annotations

from enum import Enum
from typing import Any

from . import kinds
from .fields import Option

Schema = dict[str, Any]


def schema_of(option: Option) -> Schema:
    """The schema of the option's value."""
    one = _kind(option.kind)
    return {"anyOf": [one, {"type": "array", "items": one}]} if option.is_multiple else one


def fault_of(option: Option, value: Any) -> str | None:
    """The fault of the value's type, in words; bounds are not looked at."""
    known = _types(schema_of(option))
    if _type(value) in known:
        items = value if isinstance(value, list) else []
        wrong = [item for item in items if _type(item) not in _types(_kind(option.kind))]
        if not wrong:
            return None
        value, known = wrong[0], _types(_kind(option.kind))
    words = " or ".join(WORDS[name] for name in known)
    return f"{'the value' if option.is_secret else repr(value)} is not {words}"


def _kind(kind: kinds.Kind) -> Schema:
    match kind:
        case kinds.Flag():
            return {"type": "boolean"}
        case kinds.Seconds():
            return {"type": ["number", "integer", "string"]} | _bounds(kind)
        case kinds.Milliseconds() | kinds.Octal() | kinds.Count():
            return {"type": ["integer", "string"]} | _bounds(kind)
        case kinds.Number():
            return {"type": "integer"} | _bounds(kind)
        case kinds.Fraction():
            return {"type": ["number", "integer"]}
        case kinds.Choice(is_open=False):
            return {"type": "string", "enum": [str(member.value) for member in kind.members]}
        case kinds.Dictionary():
            return {"type": ["string", "object"]}
    return {"type": "string"}


def _bounds(kind: kinds.Number) -> Schema:
    bounds = {"minimum": kind.minimum, "maximum": kind.maximum}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _types(schema: Schema) -> list[str]:
    if "anyOf" in schema:
        return [name for part in schema["anyOf"] for name in _types(part)]
    types = schema["type"]
    return types if isinstance(types, list) else [types]


def _type(value: Any) -> str:
    if isinstance(value, Enum):
        return "string"
    return next((name for kind, name in TYPES.items() if isinstance(value, kind)), "other")


# In this order: a boolean is an integer in Python.
TYPES: dict[type[Any], str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
WORDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "array": "a list of such",
    "object": "a table",
}
