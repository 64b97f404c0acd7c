"""Reads the keys of one YAML mapping, and reports what is wrong with each.

An invalid value counts as absent, so that one mistake does not hide the next.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from tlsgate.partners.syntax import Mapping, Node, Scalar, Sequence
from tlsgate.partners.values import InvalidValueError
from tlsgate.problems import Problem, shown, visible

T = TypeVar("T")

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Located(Generic[T]):
    """A value and its place in the file."""

    value: T
    line: int
    key: str


class MappingReader:
    """One mapping of a record, with its path in the record."""

    __slots__ = ("_known", "_path", "entries", "file", "line", "problems")

    def __init__(
        self, node: Mapping, path: str, known: tuple[str, ...], file: str, problems: list[Problem]
    ) -> None:
        self.entries = node.entries
        self.line = node.line
        self.file = file
        self.problems = problems
        self._path = path
        self._known = known
        for key, (line, _) in node.entries.items():
            if key not in known:
                self._unknown(key, line)

    def problem(self, key: str, line: int, code: str, message: str, remedy: str) -> None:
        """Report what is wrong with `key` of this mapping."""
        full = self._path + key
        self.problems.append(Problem(self.file, line, full, code, message, remedy))

    def line_of(self, key: str) -> int:
        """Return the line of a key, or of the mapping if the key is absent."""
        entry = self.entries.get(key)
        return entry[0] if entry else self.line

    def has_items(self, key: str) -> bool:
        """Return whether `key` is a list with items, valid or not."""
        entry = self.entries.get(key)
        return entry is not None and isinstance(entry[1], Sequence) and bool(entry[1].items)

    def is_empty_list(self, key: str) -> bool:
        """Return whether `key` is an empty list."""
        entry = self.entries.get(key)
        return entry is not None and isinstance(entry[1], Sequence) and not entry[1].items

    def value(self, key: str, parse: Callable[[str], T], example: str = "") -> T | None:
        """Return the parsed value. If `example` is given, the key is required."""
        entry = self.entries.get(key)
        if entry is None:
            if example:
                self.problem(key, self.line, "missing", "is missing", f"Write `{key}: {example}`")
            return None
        scalar = self._scalar(key, *entry)
        return None if scalar is None else self._parsed(key, scalar, parse)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        entry = self.entries.get(key)
        scalar = self._scalar(key, *entry) if entry else None
        if scalar is None:
            return default
        if not scalar.plain or scalar.text not in _FLAGS:
            message = f"{shown(scalar.text)} is not true or false"
            remedy = "Write true or false, without quotes"
            self.problem(key, scalar.line, "not-a-flag", message, remedy)
            return default
        return _FLAGS[scalar.text]

    def values(self, key: str, parse: Callable[[str], T]) -> list[Located[T]]:
        """Return the parsed items of a list, each once. An absent list is empty."""
        places: dict[T, Located[T]] = {}
        for position, node in enumerate(self._items(key)):
            item = f"{key}[{position}]"
            scalar = self._scalar(item, node.line, node)
            value = None if scalar is None else self._parsed(item, scalar, parse)
            if value is None:
                continue
            first = places.get(value)
            if first is not None:
                message = f"{shown(str(value))} is already on line {first.line}"
                self.problem(item, node.line, "doubled", message, "Delete one of the two")
                continue
            places[value] = Located(value, node.line, self._path + item)
        return list(places.values())

    def mapping(self, key: str, known: tuple[str, ...]) -> MappingReader:
        """Return the mapping under `key`. An absent mapping is empty."""
        entry = self.entries.get(key)
        if entry is None:
            return self._sub(key, Mapping(self.line), known)
        line, node = entry
        if not isinstance(node, Mapping):
            self._not_a_mapping(key, line, known)
            node = Mapping(line)
        return self._sub(key, node, known)

    def mappings(self, key: str, known: tuple[str, ...]) -> Iterator[MappingReader]:
        """Return the mappings in the list under `key`."""
        for position, node in enumerate(self._items(key)):
            item = f"{key}[{position}]"
            if isinstance(node, Mapping):
                yield self._sub(item, node, known)
            else:
                self._not_a_mapping(item, node.line, known)

    def _sub(self, key: str, node: Mapping, known: tuple[str, ...]) -> MappingReader:
        return MappingReader(node, f"{self._path}{key}.", known, self.file, self.problems)

    def _not_a_mapping(self, key: str, line: int, known: tuple[str, ...]) -> None:
        remedy = f"Write `{known[0]}: …` and other keys below it, indented with spaces"
        self.problem(key, line, "not-a-mapping", "is not a mapping", remedy)

    def _items(self, key: str) -> list[Node]:
        entry = self.entries.get(key)
        if entry is None:
            return []
        line, node = entry
        if isinstance(node, Sequence):
            return node.items
        example = visible(node.text) if isinstance(node, Scalar) else "…"
        remedy = f"Write `{key}: [{example[:80] or '…'}]`"
        self.problem(key, line, "not-a-list", "is not a list", remedy)
        return []

    def _scalar(self, key: str, line: int, node: Node) -> Scalar | None:
        if not isinstance(node, Scalar):
            kind = "list" if isinstance(node, Sequence) else "mapping"
            self.problem(key, line, "not-a-value", f"is a {kind}", "Write one value")
            return None
        if node.plain and node.text in _NULLS:
            self.problem(key, line, "no-value", "has no value", "Write a value, or delete the key")
            return None
        return node

    def _parsed(self, key: str, scalar: Scalar, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(scalar.text)
        except InvalidValueError as refusal:
            text = f"{shown(scalar.text)} " if refusal.quoted else ""
            message = f"{text}{refusal.message}"
            self.problem(key, scalar.line, refusal.code, message, refusal.remedy)
            return None

    def _unknown(self, key: str, line: int) -> None:
        near = difflib.get_close_matches(key[:100], self._known, n=1)
        known = ", ".join(self._known)
        remedy = f"Did you mean {near[0]}?" if near else f"Known keys: {known}"
        self.problem(visible(key)[:80], line, "unknown-key", "is not a key of the record", remedy)
