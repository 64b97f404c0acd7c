"""docs/conformity.md: each requirement that a test shows names an existing test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
STATES = {"met", "in part", "untested", "not met", "later", "yours"}
NEEDS_A_TEST = {"met", "in part"}


class Row(NamedTuple):
    """A row of a table in docs/conformity.md."""

    section: str
    requirement: str
    state: str
    how: str

    @property
    def tests(self) -> list[str]:
        return [name for name in re.findall(r"`([^`]+)`", self.how) if name.startswith("tests/")]


def rows() -> list[Row]:
    lines = (ROOT / "docs/conformity.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [Row(*row) for row in cells if row[2] not in {"state", "---"}]


def test_every_document_has_its_table() -> None:
    text = (ROOT / "docs/conformity.md").read_text()
    documents = ["TR-03108-1", "TR-02102-2", "7672", "8461", "8460", "8689", "7817", "internet.nl"]
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert len(titles) == len(documents)
    for title, document in zip(titles, documents, strict=True):
        assert document in title


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.section}: {row.requirement}"[:60])
def test_a_row_names_its_proof(row: Row) -> None:
    assert row.state in STATES
    for path in row.tests:
        assert (ROOT / path).is_file(), path
    if row.state in NEEDS_A_TEST and "see the next table" not in row.how:
        assert row.tests
    if row.state in {"not met", "later"}:
        assert row.how
