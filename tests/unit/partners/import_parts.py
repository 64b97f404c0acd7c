"""Reads lists in other formats in tests: every problem is collected, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from tlsgate.partners.importing import Defaults, Row, Source, read_rows
from tlsgate.partners.model import Partner

AGREED = Defaults(date(2026, 10, 1), date(2027, 10, 1))
Reader = Callable[[Source], Iterator[Row]]


def imported(reader: Reader, text: str) -> tuple[list[Partner], Source]:
    source = Source("list", text)
    drafts = read_rows(reader(source), source, AGREED)
    return [draft.partner for draft in drafts if draft.partner is not None], source


def problems(reader: Reader, text: str) -> list[str]:
    partners, source = imported(reader, text)
    assert not partners
    return [str(problem) for problem in source.problems]


def only(reader: Reader, text: str) -> Partner:
    partners, source = imported(reader, text)
    assert source.problems == []
    (partner,) = partners
    return partner
