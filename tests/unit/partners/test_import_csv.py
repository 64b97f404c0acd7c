"""CSV tables as records: they read back the same, and problems are reported with their lines."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.import_parts import AGREED, imported, only, problems
from tests.unit.partners.test_partner_format import every_partner
from tlsgate.partners.import_csv import COLUMNS, read_csv
from tlsgate.partners.model import Partner

tabular = every_partner.map(lambda partner: replace(partner, exceptions=()))


def cells(partner: Partner) -> dict[str, str]:
    def cell(path: tuple[str, ...]) -> str:
        value: object = partner.to_dict()
        for key in path:
            assert isinstance(value, dict)
            value = value.get(key, "")
        return " ".join(value) if isinstance(value, list) else str(value)

    return {column: cell(path) for column, path in COLUMNS.items()}


@given(st.lists(tabular, min_size=1, max_size=3), st.sampled_from(",;"), st.booleans())
def test_a_list_as_csv_reads_back_the_same(
    partners: list[Partner], delimiter: str, spreadsheet: bool
) -> None:
    file = io.StringIO()
    writer = csv.DictWriter(file, sorted(COLUMNS), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(cells(partner) for partner in partners)
    mark = "\ufeff" if spreadsheet else ""
    again, source = imported(read_csv, mark + file.getvalue())
    assert source.problems == []
    assert again == [replace(partner, file="list") for partner in partners]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "list:1: has no column `domains`."),
        ("name\nAcme\n", "list:1: has no column `domains`."),
        ("domains,colour\n", "list:1: the column `colour` is not known; no column is ignored."),
        ("domains,domains\n", "the column `domains` appears twice."),
        ("domains\na.example,b.example\n", "list:2: has 2 cells for 1 columns."),
        ('domains\n"a.example\n', "is not CSV (unexpected end of data)"),
        ("domains,mode\n\na.example,off\n", "list:3: mode: `off` is not one of enforce, observe."),
        ("domains,tls\na.example,weak\n", "list:2: tls: `weak` is not one of strong, compatible."),
        ("domains,subdomains\na.example,maybe\n", "list:2: subdomains: `maybe` is not true or"),
        ("domains,agreed\nA.example,soon\n", "list:2: agreed: `soon` is not a date."),
        ("domains,mx\na.example,*.a.example\n", "list:2: outbound.mx[0]: `*.a.example` has a"),
        ("domains,verify\na.example,pin\n", "list:2: outbound.public_keys: is needed"),
    ],
)
def test_problems_of_a_table_are_reported_with_their_lines(text: str, said: str) -> None:
    assert any(line.startswith(said) or said in line for line in problems(read_csv, text))


def test_values_that_a_table_leaves_out_have_the_defaults() -> None:
    partner = only(read_csv, "Domains , MX\na.example b.example,.mx.a.example\n")
    assert (partner.name, partner.domains) == ("a.example", ("a.example", "b.example"))
    assert (partner.agreed, partner.review) == (AGREED.agreed, AGREED.review)
    assert partner.subdomains is True
    assert partner.outbound.mx == (".mx.a.example",)
