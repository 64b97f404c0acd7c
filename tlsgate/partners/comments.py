"""Finds the comments of a partner file, so that its canonical form keeps them.

The YAML parser drops comments, but tells where each value begins and ends. A `#` after a space and
outside of any value begins a comment. A comment belongs to the key on its line, to the list that
contains it, or otherwise to the next key. Comments before the first key are the head of the
document, those after the last key its foot.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from yaml.events import (
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from tlsgate.partners.syntax import parse_events

_START = re.compile(r"(?:^|(?<=[ \t]))#")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment from its `#` to the end of its line, which is `line` (from 0)."""

    line: int
    column: int
    text: str
    alone: bool
    """Nothing is before it on its line."""


@dataclass(slots=True)
class Comments:
    """The comments of one document, by where they belong."""

    head: list[str] = field(default_factory=list)
    above: dict[str, list[str]] = field(default_factory=dict)
    """By key, such as `outbound.mx`."""
    beside: dict[str, str] = field(default_factory=dict)
    """At the end of the key's line: at most one."""
    foot: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Key:
    path: str
    line: int
    last: int
    """The last line of the key's value, without the keys below it."""


@dataclass(slots=True)
class _Document:
    line: int
    keys: list[_Key] = field(default_factory=list)


_Position = tuple[int, int]


def read_comments(text: str) -> list[Comments]:
    """Return the comments of each document of a valid stream."""
    documents, values = _scan(text)
    found = [Comments() for _ in documents]
    starts = [document.line for document in documents]
    for comment in _comments(text, values):
        number = max(bisect_right(starts, comment.line) - 1, 0)
        _place(comment, documents[number], found[number])
    return found


def _place(comment: Comment, document: _Document, found: Comments) -> None:
    keys = document.keys
    number = bisect_right([key.line for key in keys], comment.line) - 1
    if number < 0:
        found.head.append(comment.text)
        return
    key = keys[number]
    if not comment.alone and comment.line == key.line and key.path not in found.beside:
        found.beside[key.path] = comment.text
    elif comment.line <= key.last or not comment.alone:
        found.above.setdefault(key.path, []).append(comment.text)
    elif number + 1 < len(keys):
        found.above.setdefault(keys[number + 1].path, []).append(comment.text)
    else:
        found.foot.append(comment.text)


def _comments(text: str, values: list[tuple[_Position, _Position]]) -> Iterator[Comment]:
    starts = [start for start, _ in values]
    for number, line in enumerate(text.split("\n")):
        for mark in _START.finditer(line):
            position = (number, mark.start())
            before = bisect_right(starts, position) - 1
            if before < 0 or values[before][1] <= position:
                alone = not line[: mark.start()].strip()
                yield Comment(number, mark.start(), line[mark.start() :].rstrip(), alone)
                break


def _scan(text: str) -> tuple[list[_Document], list[tuple[_Position, _Position]]]:
    """Return the documents with their keys, and the start and end of each value."""
    documents: list[_Document] = []
    values: list[tuple[_Position, _Position]] = []
    path: list[str | int | None] = []  # of each open node: the key or the position that is next
    for event in parse_events(text):
        if isinstance(event, DocumentStartEvent):
            line = _place_of(event.start_mark)[0]
            documents.append(_Document(line if event.explicit and documents else 0))
        elif isinstance(event, CollectionEndEvent):
            path.pop()
            _advance(path)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            path.append(None if isinstance(event, MappingStartEvent) else 0)
        elif isinstance(event, ScalarEvent):
            values.append(_span(event))
            _scalar(event, path, documents[-1].keys)
    return documents, values


def _scalar(event: ScalarEvent, path: list[str | int | None], keys: list[_Key]) -> None:
    if path and path[-1] is None:
        line, _ = _place_of(event.start_mark)
        path[-1] = event.value
        keys.append(_Key(_shown(path), line, line))
        return
    if keys:
        end, _ = _place_of(event.end_mark)
        keys[-1].last = end - (event.style in ("|", ">"))  # those end where the next line starts
    _advance(path)


def _advance(path: list[str | int | None]) -> None:
    """Move on after a value: to the next key, or the next position of a list."""
    if path:
        path[-1] = path[-1] + 1 if isinstance(path[-1], int) else None


def _shown(path: list[str | int | None]) -> str:
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}"
    return shown.removeprefix(".")


def _span(event: ScalarEvent) -> tuple[_Position, _Position]:
    start = _place_of(event.start_mark)
    if event.style in ("|", ">"):  # a comment may follow the indicator
        start = (start[0] + 1, 0)
    return start, _place_of(event.end_mark)


def _place_of(mark: object) -> _Position:
    """Return line and column of a mark, which libyaml gives every event."""
    return getattr(mark, "line", 0), getattr(mark, "column", 0)
