"""What a property may look like, and the three pure things that follow from it.

`check` refuses what is not implemented, `differences` says what a change costs, `canonical` makes
two ways of writing one value equal. The tables of the four resources are in `resources.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from toolchain.offline.docker_plugin.values import Unknown, has_unknown


class Kind(StrEnum):
    """The shapes of a property's value."""

    STRING = "a string"
    INTEGER = "an integer"
    BOOLEAN = "a boolean"
    STRINGS = "a list of strings"
    STRING_SET = "a set of strings"
    MAP = "a map of strings"
    OBJECT = "an object"
    OBJECTS = "a list of objects"
    OBJECT_SET = "a set of objects"


@dataclass(frozen=True, slots=True)
class Property:
    """One input.

    in_place: a change updates the resource; without it, a change replaces it.
    engine_fills: the engine has a value of its own; taking the input away is then no change.
    nested: the fields of an OBJECT are compared one by one, each with its own `in_place`.
    """

    kind: Kind
    fields: Mapping[str, Property] = field(default_factory=dict)
    required: bool = False
    in_place: bool = False
    engine_fills: bool = False
    nested: bool = False
    default: Any = None
    pattern: str = ""
    minimum: int | None = None


Table = Mapping[str, Property]


@dataclass(frozen=True, slots=True)
class Failure:
    """A refused input: its path and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `verb` is add, delete or update."""

    path: str
    verb: str
    replace: bool


_SCALARS: Mapping[Kind, type] = {Kind.STRING: str, Kind.INTEGER: int, Kind.BOOLEAN: bool}


def check(resource: str, table: Table, inputs: Mapping[str, Any]) -> list[Failure]:
    """Return every input that `table` does not allow, at any depth, sorted by path."""
    return sorted(_check_object(resource, table, inputs, ""), key=lambda failure: failure.path)


def _check_object(
    resource: str, table: Table, value: Mapping[str, Any], prefix: str
) -> Iterator[Failure]:
    for name, item in value.items():
        path = f"{prefix}{name}"
        if name.startswith("__"):
            continue
        if name not in table:
            yield Failure(
                path,
                f"lab stand-in for the Docker plugin does not implement {resource} property "
                f"'{path}'; use the real plugin",
            )
        elif item is not None:
            yield from _check_value(resource, table[name], item, path)
    for name, spec in table.items():
        if spec.required and value.get(name) is None:
            yield Failure(f"{prefix}{name}", f"{resource} property '{prefix}{name}' is missing")


def _check_value(resource: str, spec: Property, value: Any, path: str) -> Iterator[Failure]:
    if isinstance(value, Unknown):
        return
    if spec.kind in _SCALARS:
        yield from _check_scalar(resource, spec, value, path)
    elif not _has_shape(spec.kind, value):
        yield Failure(path, f"{resource} property '{path}' must be {spec.kind}")
    elif spec.kind is Kind.OBJECT:
        yield from _check_object(resource, spec.fields, value, f"{path}.")
    elif spec.kind in (Kind.OBJECTS, Kind.OBJECT_SET):
        for index, item in enumerate(value):
            if not isinstance(item, Unknown):
                yield from _check_object(resource, spec.fields, item, f"{path}[{index}].")


def _has_shape(kind: Kind, value: Any) -> bool:
    if kind is Kind.OBJECT:
        return isinstance(value, Mapping)
    if kind is Kind.MAP:
        return isinstance(value, Mapping) and all(_is_text(item) for item in value.values())
    if not isinstance(value, list):
        return False
    if kind in (Kind.STRINGS, Kind.STRING_SET):
        return all(_is_text(item) for item in value)
    return all(isinstance(item, Mapping | Unknown) for item in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | Unknown)


def _check_scalar(resource: str, spec: Property, value: Any, path: str) -> Iterator[Failure]:
    named = f"{resource} property '{path}'"
    wanted = _SCALARS[spec.kind]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        yield Failure(path, f"{named} must be {spec.kind}")
    elif isinstance(value, str) and spec.pattern and value:
        if not re.fullmatch(spec.pattern, value):
            yield Failure(path, f"{named} is {value!r}; it must match {spec.pattern}")
    elif isinstance(value, int) and spec.minimum is not None and value < spec.minimum:
        yield Failure(path, f"{named} must be {spec.minimum} or more")


def canonical(spec: Property, value: Any) -> Any:
    """Return `value` with defaults filled in, sets sorted, and every empty value as its default."""
    if isinstance(value, Unknown):
        return value
    if value is None or value in ("", [], {}):
        return spec.default
    if spec.kind is Kind.OBJECT:
        return _canonical_object(spec, value)
    items = value
    if spec.kind in (Kind.OBJECTS, Kind.OBJECT_SET):
        items = [_canonical_object(spec, item) for item in value]
    return _sorted(items) if spec.kind in (Kind.OBJECT_SET, Kind.STRING_SET) else items


def _canonical_object(spec: Property, value: Any) -> Any:
    if isinstance(value, Unknown):
        return value
    filled = {name: canonical(part, value.get(name)) for name, part in spec.fields.items()}
    return {name: part for name, part in filled.items() if part is not None}


def _sorted(items: list[Any]) -> list[Any]:
    def order(item: Any) -> str:
        return json.dumps(item, sort_keys=True, default=repr)

    unique = {order(item): item for item in items}
    return [unique[key] for key in sorted(unique)]


def differences(
    table: Table,
    old_inputs: Mapping[str, Any],
    old_outputs: Mapping[str, Any],
    new_inputs: Mapping[str, Any],
) -> list[Change]:
    """Return what changed from the old resource to `new_inputs`, in the order of `table`.

    A new value that is not known yet counts as a change.
    """
    found: list[Change] = []
    for name, spec in table.items():
        old, new = old_inputs.get(name), new_inputs.get(name)
        if spec.engine_fills:
            if new in (None, "", [], {}):
                continue
            old = old_outputs.get(name) if old is None else old
        if spec.nested and isinstance(old, Mapping) and isinstance(new, Mapping):
            found += [
                Change(f"{name}.{change.path}", change.verb, change.replace)
                for change in differences(spec.fields, old, {}, new)
            ]
        else:
            found += _difference(name, spec, old, new, added=name not in old_inputs)
    return found


def _difference(name: str, spec: Property, old: Any, new: Any, *, added: bool) -> Iterator[Change]:
    before, after = canonical(spec, old), canonical(spec, new)
    if has_unknown(after) or before != after:
        verb = "add" if added else "delete" if new is None else "update"
        yield Change(name, verb, not spec.in_place)
