"""Record sets in their forms, and which zone a name is in."""

from __future__ import annotations

import dns.name
import dns.rdata
import dns.rdataset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.dns.errors import DnsError, ZoneError
from tlsgate.dns.records import Record
from tlsgate.dns.sets import (
    by_key,
    from_lines,
    same,
    show,
    to_lines,
    to_rdataset,
    to_record,
    zone_of,
)

TLSA = "3 1 1 " + "ab" * 32
RECORDS = (
    Record("_25._tcp.mx1.corp.example", "TLSA", 60, (TLSA,)),
    Record("_mta-sts.corp.example", "TXT", 300, ("v=STSv1; id=20260101;",)),
    Record("corp.example", "MX", 300, ("10 mx1.corp.example.", "20 mx2.corp.example.")),
    Record("mx1.corp.example", "A", 300, ("192.0.2.1",)),
    Record("mx1.corp.example", "AAAA", 300, ("2001:db8::1",)),
    Record("mx1.corp.example", "CAA", 300, ('0 issue "ca.example"', '0 issuewild ";"')),
)


def test_records_become_lines_and_lines_records() -> None:
    lines = to_lines(RECORDS)
    assert '_mta-sts.corp.example. 300 IN TXT "v=STSv1; id=20260101;"' in lines
    assert "corp.example. 300 IN MX 20 mx2.corp.example." in lines
    assert from_lines(lines) == RECORDS
    assert to_lines(reversed(RECORDS)) == lines


@given(st.text(st.characters(codec="utf-8"), max_size=600))
def test_any_text_survives_being_a_line(text: str) -> None:
    record = Record("t.corp.example", "TXT", 60, (text,))
    (line,) = to_lines([record])
    assert line.isascii() and line.isprintable()
    assert from_lines([line]) == (record,)
    rdataset = to_rdataset(record)
    assert to_record("t.corp.example", rdataset) == record
    assert all(len(string) <= 255 for rdata in rdataset for string in rdata.strings)


def test_octets_that_are_no_utf8_survive_as_well() -> None:
    line = 't.corp.example. 60 IN TXT "\\255\\000"'
    assert to_lines(from_lines([line])) == [line]


@pytest.mark.parametrize(
    ("rtype", "one", "other", "expected"),
    [
        ("MX", ["10 a.test.", "20 b.test."], ["20 b.test.", "10 a.test."], True),
        ("MX", ["10 a.test."], ["10 A.TEST."], True),
        ("MX", ["10 a.test."], ["20 a.test."], False),
        ("MX", ["10 a.test."], ["10 a.test.", "20 b.test."], False),
        ("TXT", ['"v=STSv1; id=1;"'], ['"v=STSv1;" " id=1;"'], True),
        ("TXT", ['"a"'], ['"A"'], False),
        ("AAAA", ["2001:db8::1"], ["2001:0db8:0::1"], True),
        ("TLSA", [TLSA], [TLSA.upper()], True),
    ],
)
def test_sets_are_compared_by_what_they_mean(
    rtype: str, one: list[str], other: list[str], expected: bool
) -> None:
    first = dns.rdataset.from_text_list("IN", rtype, 60, one)
    second = dns.rdataset.from_text_list("IN", rtype, 3600, other)
    assert same(first, second) is expected
    assert same(first, None) is False
    assert same(None, None) is True


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("corp.example", "corp.example"),
        ("mx1.corp.example", "corp.example"),
        ("a.mail.corp.example", "mail.corp.example"),
        ("MAIL.corp.example.", "mail.corp.example"),
        ("notcorp.example", "example"),
    ],
)
def test_a_name_is_in_the_longest_zone_that_matches(name: str, zone: str) -> None:
    assert zone_of(name, ("corp.example", "example.", "Mail.corp.example")) == zone


def test_a_name_outside_all_zones_is_reported_with_the_zones() -> None:
    with pytest.raises(ZoneError, match=r"a\.test is in none of the zones corp\.example"):
        zone_of("a.test", ("corp.example",))
    with pytest.raises(ZoneError, match=r"none of the zones \(none\)"):
        zone_of("a.test", ())


@pytest.mark.parametrize(
    "record",
    [
        Record("a.test", "A", 60, ("192.0.2.277",)),
        Record("a.test", "MX", 60, ("mx1.test.",)),
        Record("a.test", "NONSENSE", 60, ("x",)),
        Record("a.test", "A", 60, ()),
    ],
    ids=lambda record: record.type,
)
def test_a_wrong_value_is_named(record: Record) -> None:
    with pytest.raises(DnsError, match=f"a.test {record.type}: "):
        to_rdataset(record)


def test_one_set_cannot_be_wanted_twice() -> None:
    twice = Record("A.test", "A", 60, ("192.0.2.1",)), Record("a.test.", "A", 60, ("192.0.2.2",))
    with pytest.raises(DnsError, match=r"a\.test A is wanted twice"):
        by_key(twice)


def test_what_a_set_holds_is_shown_in_one_line() -> None:
    assert show(to_rdataset(RECORDS[2])) == "10 mx1.corp.example., 20 mx2.corp.example."
    assert show(None) == "nothing"
