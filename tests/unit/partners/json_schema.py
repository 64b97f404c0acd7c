"""A validator of JSON Schema (draft 2020-12): the keywords that our schema uses, and no others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool}
SAID = frozenset(["$schema", "title", "description", "default", "format", "then", "else"])
"""Keywords that check nothing by themselves."""


def faults(schema: Schema, value: Any, path: str = "") -> list[str]:
    """What is wrong with a value: its path and the keyword at fault."""
    assert schema.keys() <= CHECKS.keys() | SAID
    if not isinstance(value, KINDS.get(schema.get("type", ""), object)):
        return [f"{path} type"]
    return [
        fault for keyword in schema.keys() - SAID for fault in CHECKS[keyword](schema, value, path)
    ]


def _keyword(
    name: str, kind: type, right: Callable[[Any, Any], bool]
) -> Callable[[Schema, Any, str], Iterator[str]]:
    """A keyword that says nothing of values of another kind."""

    def check(schema: Schema, value: Any, path: str) -> Iterator[str]:
        if isinstance(value, kind) and not right(value, schema[name]):
            yield f"{path} {name}"

    return check


def _items(schema: Schema, value: Any, path: str) -> Iterator[str]:
    for item in value if isinstance(value, list) else []:
        yield from faults(schema["items"], item, f"{path}[]")


def _properties(schema: Schema, value: Any, path: str) -> Iterator[str]:
    for key, below in schema["properties"].items():
        if isinstance(value, dict) and key in value:
            yield from faults(below, value[key], f"{path}.{key}")


def _unknown(schema: Schema, value: Any, path: str) -> Iterator[str]:
    assert schema["additionalProperties"] is False
    yield from (f"{path}.{key} unknown" for key in value if key not in schema["properties"])


def _required(schema: Schema, value: Any, path: str) -> Iterator[str]:
    yield from (f"{path}.{key} required" for key in schema["required"] if key not in value)


def _all_of(schema: Schema, value: Any, path: str) -> Iterator[str]:
    for part in schema["allOf"]:
        yield from faults(part, value, path)


def _if(schema: Schema, value: Any, path: str) -> Iterator[str]:
    branch = "else" if faults(schema["if"], value, path) else "then"
    yield from faults(schema.get(branch, {}), value, path)


CHECKS: dict[str, Callable[[Schema, Any, str], Iterator[str]]] = {
    "type": lambda schema, value, path: iter(()),
    "enum": _keyword("enum", object, lambda value, given: value in given),
    "const": _keyword("const", object, lambda value, given: value == given),
    "pattern": _keyword("pattern", str, lambda value, given: bool(re.search(given, value))),
    "minLength": _keyword("minLength", str, lambda value, given: len(value) >= given),
    "maxLength": _keyword("maxLength", str, lambda value, given: len(value) <= given),
    "minItems": _keyword("minItems", list, lambda value, given: len(value) >= given),
    "maxItems": _keyword("maxItems", list, lambda value, given: len(value) <= given),
    "uniqueItems": _keyword("uniqueItems", list, lambda value, _: len(set(value)) == len(value)),
    "items": _items,
    "properties": _properties,
    "additionalProperties": _unknown,
    "required": _required,
    "allOf": _all_of,
    "if": _if,
}
