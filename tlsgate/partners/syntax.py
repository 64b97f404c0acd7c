"""YAML as the partner list allows it: mappings, lists and strings, each with its line.

A deliberately small part of YAML 1.1/1.2. There are no implicit types (`no`, `010`, `12:30` stay
strings, which the record's own rules interpret) and no tags, anchors, aliases or directives, so
nothing is constructed or expanded. Limits on size and depth are checked while reading. Nesting is
kept in a list, not on Python's stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml import CSafeLoader  # libyaml: ten times the speed of the Python parser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from tlsgate.problems import Problem, shown

SIZE_LIMIT = 256 * 1024
"""Bytes of a file; a record has about 1 KiB."""
DEPTH_LIMIT = 8
"""The record itself nests 3 deep."""

_TAB = re.compile(r"^ *\t", re.MULTILINE)
_FORBIDDEN = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f"  # control characters, but tab and line ends
    "\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069"  # characters that hide or reorder text
    "\\ufeff\\ufffe\\uffff]"  # byte order mark, noncharacters
    "|\\r(?!\\n)"
)
_REMEDIES = (
    (
        "mapping values are not allowed",
        "Align the keys of a mapping; put quotes around a value that contains `: `",
    ),
    ("escape c", "Write the character itself"),
    ("cannot start any token", "Put quotes around the value"),
    ("expected <document start>", "Align the line with the keys above it"),
    ("could not find expected ':'", "Write `key: value`"),
    ("expected ',' or ']'", "Close the list with `]`"),
    ("expected ',' or '}'", "Close the mapping with `}`"),
    ("quoted scalar", "Close the quotation mark"),
)


@dataclass(slots=True)
class Scalar:
    """A string as written. `plain`: without quotes."""

    text: str
    line: int
    plain: bool


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys and values. If a key appears twice, the first one counts."""

    line: int
    entries: dict[str, tuple[int, Node]] = field(default_factory=dict)
    """Key → the line of the key, and its value."""


Node = Scalar | Sequence | Mapping


class _UnreadableError(Exception):
    """The rest of the file cannot be read."""

    def __init__(self, line: int, code: str, message: str, remedy: str) -> None:
        super().__init__(line, code, message, remedy)
        self.facts = (line, code, message, remedy)


def read_documents(data: bytes, file: str) -> tuple[list[Node], list[Problem]]:
    """Return the documents of a YAML stream and what is wrong with it.

    If the rest of the file cannot be read, no documents are returned. Never raises.
    """
    problems: list[Problem] = []
    try:
        text = _decode(data)
        _check_characters(text)
        documents = list(_build(text, file, problems))
    except _UnreadableError as error:
        line, code, message, remedy = error.facts
        return [], [*problems, Problem(file, line, "", code, message, remedy)]
    if not documents:
        problems.append(
            Problem(file, 0, "", "empty-file", "contains no record", "Write a record, or delete it")
        )
    return documents, problems


def _decode(data: bytes) -> str:
    if len(data) > SIZE_LIMIT:
        raise _UnreadableError(
            0,
            "file-too-large",
            f"is larger than {SIZE_LIMIT // 1024} KiB",
            "Write one partner per file",
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(
            line, "not-utf-8", "is not UTF-8", "Save the file as UTF-8"
        ) from None


def _check_characters(text: str) -> None:
    bad = _FORBIDDEN.search(text)
    if bad:
        name = f"U+{ord(bad[0]):04X}"
        message = f"contains the invisible character {name}"
        remedy = "Delete it; save the file as UTF-8 without a byte order mark"
        raise _UnreadableError(_line_at(text, bad.start()), "bad-character", message, remedy)
    tab = _TAB.search(text)
    if tab:
        raise _UnreadableError(
            _line_at(text, tab.start()), "tab", "is indented with a tab", "Indent with spaces"
        )


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _build(text: str, file: str, problems: list[Problem]) -> Iterator[Node]:
    """Turn the parser's events into nodes, one document after another."""
    open_nodes: list[Sequence | Mapping] = []
    keys: list[Scalar | None] = []  # beside each open node: the key that waits for its value
    for event in _events(text):
        kind = type(event)
        if isinstance(event, ScalarEvent):
            node: Node = _scalar(event)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            line = _start(event, len(open_nodes))
            open_nodes.append(Mapping(line) if kind is MappingStartEvent else Sequence(line))
            keys.append(None)
            continue
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            node = open_nodes.pop()
            keys.pop()
        else:
            _check_event(event)
            continue
        if not open_nodes:
            yield node
            continue
        parent = open_nodes[-1]
        if type(parent) is Sequence:
            parent.items.append(node)
        elif keys[-1] is None:
            keys[-1] = _key(node)
        elif type(parent) is Mapping:
            _add(parent, keys[-1], node, file, problems)
            keys[-1] = None


def parse_events(text: str) -> Iterator[Event]:
    """Yield the parser's events, twice as fast as `yaml.parse`. Raises YAMLError."""
    loader = CSafeLoader(text)
    try:
        while (event := loader.get_event()) is not None:
            yield event
    finally:
        loader.dispose()


def _events(text: str) -> Iterator[Event]:
    try:
        yield from parse_events(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        remedy = next(
            (remedy for words, remedy in _REMEDIES if words in said),
            "Check the indentation and the quotation marks of this line and the one above",
        )
        line = mark.line + 1 if mark else 0
        raise _UnreadableError(line, "bad-yaml", f"is not YAML: {said}", remedy) from None
    except yaml.YAMLError as error:
        said = shown(str(error))
        remedy = "Write plain YAML in UTF-8"
        raise _UnreadableError(0, "bad-yaml", f"is not YAML: {said}", remedy) from None


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _scalar(event: ScalarEvent) -> Scalar:
    if event.anchor is not None or event.tag is not None:
        _refuse_properties(event)
    return Scalar(event.value, _line(event), not event.style)


def _start(event: MappingStartEvent | SequenceStartEvent, depth: int) -> int:
    line = _line(event)
    if event.anchor is not None or event.tag is not None:
        _refuse_properties(event)
    if depth >= DEPTH_LIMIT:
        message = f"is nested more than {DEPTH_LIMIT} levels deep"
        raise _UnreadableError(line, "too-deep", message, "Write the record's own keys only")
    return line


def _refuse_properties(event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> None:
    if event.anchor is not None:
        message = f"has the anchor {shown('&' + event.anchor)}"
        remedy = (
            "Write the value where it is needed; put quotes around a string that starts with `&`"
        )
        raise _UnreadableError(_line(event), "anchor", message, remedy)
    message = f"has the tag {shown(event.tag or '')}"
    remedy = "Write the value without a tag; put quotes around a string that starts with `!`"
    raise _UnreadableError(_line(event), "tag", message, remedy)


def _check_event(event: Event) -> None:
    """Refuse directives and aliases: events that carry no node."""
    if isinstance(event, AliasEvent):
        message = f"has the alias {shown('*' + (event.anchor or ''))}"
        remedy = "Write the value itself; put quotes around a string that starts with `*`"
        raise _UnreadableError(_line(event), "alias", message, remedy)
    if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
        raise _UnreadableError(
            _line(event), "directive", "has a % directive", "Delete the directive"
        )


def _key(node: Node) -> Scalar:
    if isinstance(node, Scalar):
        return node
    message = "has a list or a mapping as a key"
    raise _UnreadableError(node.line, "bad-key", message, "Write `key: value`")


def _add(parent: Mapping, key: Scalar, value: Node, file: str, problems: list[Problem]) -> None:
    first = parent.entries.get(key.text)
    if first is None:
        parent.entries[key.text] = (key.line, value)
        return
    message = f"the key {shown(key.text)} is already on line {first[0]}"
    problems.append(Problem(file, key.line, "", "key-doubled", message, "Keep one of the two"))
