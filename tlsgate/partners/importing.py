"""Imports partners from other formats: each entry of a source becomes a record, or a problem.

The reader of a format yields rows: the values of a record as a partner file would have them. They
are checked by the same rules as a file. What a record cannot express is a problem, and its entry is
not imported. What is imported in another form, or is not needed, is a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tlsgate.partners import syntax
from tlsgate.partners.entries import record_file_name
from tlsgate.partners.record import Draft, read_record
from tlsgate.problems import Problem

SOURCE_LIMIT = 32 * 1024 * 1024
"""Bytes of a source."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for what a source does not contain."""

    agreed: date
    review: date
    contact: str = ""
    """An address; "" is postmaster@ the partner's first domain."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record from a source: keys and values as in a partner file."""

    line: int
    values: Mapping[str, Any]


@dataclass(slots=True)
class Source:
    """A source that is being read, and what was found in it."""

    file: str
    """The name to show."""
    text: str
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def problem(self, line: int, key: str, code: str, message: str, remedy: str) -> None:
        """Report what a record cannot express: the entry is not imported."""
        self.problems.append(Problem(self.file, line, key, code, message, remedy))

    def note(self, line: int, key: str, code: str, message: str, remedy: str) -> None:
        """Report what is imported in another form than it was written."""
        self.notes.append(Problem(self.file, line, key, code, message, remedy))


def read_rows(rows: Iterable[Row], source: Source, defaults: Defaults) -> list[Draft]:
    """Return the rows' records; their problems are added to the source's."""
    drafts = []
    for row in rows:
        node = _node(_filled(row.values, defaults), row.line)
        draft = read_record(node, source.file, None, source.problems)
        if draft is not None:
            drafts.append(draft)
    return drafts


def _filled(values: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    domains = values.get("domains") or [""]
    filled = {
        "name": domains[0],
        "contact": defaults.contact or f"postmaster@{domains[0]}",
        "agreed": defaults.agreed.isoformat(),
        "review": defaults.review.isoformat(),
    }
    return {**filled, **values}


def _node(value: Any, line: int) -> syntax.Node:
    """Return a value as the reader of partner files gets it, all of it on the row's line."""
    if isinstance(value, Mapping):
        entries = {key: (line, _node(one, line)) for key, one in value.items()}
        return syntax.Mapping(line, entries)
    if isinstance(value, list | tuple):
        return syntax.Sequence(line, [_node(one, line) for one in value])
    if isinstance(value, bool):
        return syntax.Scalar("true" if value else "false", line, True)
    return syntax.Scalar(str(value), line, False)


def new_files(drafts: Sequence[Draft], taken: Iterable[str]) -> Iterator[tuple[str, Draft]]:
    """Yield each record with the name of its own new file, which is not in `taken`."""
    used = set(taken)
    for draft in drafts:
        if draft.partner is None:
            continue
        name = record_file_name(draft.partner.name)
        if name == record_file_name(""):  # no character of the name is allowed in a file name
            name = record_file_name(draft.partner.domains[0])
        stem, number = name.removesuffix(".yaml"), 1
        while name in used:
            number += 1
            name = f"{stem}-{number}.yaml"
        used.add(name)
        yield name, draft
