"""Imports partners from a table (CSV, RFC 4180): one per line; the first line names the columns.

Columns may be in any order, and all but `domains` are optional. Several values in one cell are
separated by spaces. Columns may be separated by semicolons, as some spreadsheets do. Exceptions
have no column: each is approved in the partner file itself.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from tlsgate.partners.importing import Row, Source
from tlsgate.problems import shown

COLUMNS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "contact": ("contact",),
    "agreed": ("agreed",),
    "review": ("review",),
    "mode": ("mode",),
    "tls": ("tls",),
    "domains": ("domains",),
    "subdomains": ("subdomains",),
    "verify": ("outbound", "verify"),
    "mx": ("outbound", "mx"),
    "server_keys": ("outbound", "public_keys"),
    "ca": ("outbound", "ca"),
    "require": ("inbound", "require"),
    "client_keys": ("inbound", "public_keys"),
    "networks": ("inbound", "networks"),
}
"""Column name → the path of the record's key."""
_SEVERAL = frozenset({"domains", "mx", "server_keys", "client_keys", "networks"})
_FLAGS = {"true": True, "false": False}


def read_csv(source: Source) -> Iterator[Row]:
    """Yield a row for each line; problems are added to the source."""
    text = source.text.removeprefix("\ufeff")  # spreadsheets write a byte order mark
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if _check_header(source, header):
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    row = _row(source, reader.line_num, header, cells)
                    if row is not None:
                        yield row
    except csv.Error as error:
        message = f"is not CSV ({error})"
        source.problem(
            reader.line_num,
            "",
            "bad-csv",
            message,
            "Put quotes around cells with special characters",
        )


def _check_header(source: Source, header: list[str]) -> bool:
    found = len(source.problems)
    for column in header:
        if column not in COLUMNS:
            message = f"the column {shown(column)} is not known; no column is ignored"
            remedy = f"Delete it, or name it one of {', '.join(COLUMNS)}"
            source.problem(1, "", "unknown-column", message, remedy)
        elif header.count(column) > 1:
            message = f"the column {shown(column)} appears twice"
            source.problem(1, "", "doubled", message, "Delete one of the two")
    if "domains" not in header:
        message = "has no column `domains`"
        remedy = "Write the names of the columns in the first line"
        source.problem(1, "", "missing", message, remedy)
    return len(source.problems) == found


def _row(source: Source, line: int, header: list[str], cells: list[str]) -> Row | None:
    if len(cells) > len(header):
        message = f"has {len(cells)} cells for {len(header)} columns"
        source.problem(
            line, "", "bad-row", message, "Put quotes around a cell that contains a separator"
        )
        return None
    values: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=False):
        text = cell.strip()
        if not text:
            continue
        *sections, key = COLUMNS[column]
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        value: object = text.split() if column in _SEVERAL else text
        if column == "subdomains":
            value = _FLAGS.get(text.lower(), text)
        place[key] = value
    return Row(line, values)
