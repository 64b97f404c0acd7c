"""Every record is read back by dnspython, as a zone's master file and as record data."""

from __future__ import annotations

import re

import dns.rdata
import dns.zone
import pytest
from dns.rdtypes.ANY.TXT import TXT
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.dns.records import Record, quote_txt, zone_lines
from tlsgate.render.dns_records import gateway_records, mta_sts_record, tlsrpt_value

RECORDS = gateway_records(
    domains=("corp.example", "brand.example"),
    hosts={
        "mx2.corp.example": ("192.0.2.2",),
        "mx1.corp.example": ("2001:db8::1", "192.0.2.1"),
    },
    policy_addresses=("192.0.2.11",),
    tlsrpt=("reports@corp.example", "https://reports.example/v1"),
    caa_issuers=("letsencrypt.org; validationmethods=dns-01", "pki.example"),
    ttl=300,
)


def test_the_whole_set() -> None:
    caa = (
        '0 issue "letsencrypt.org; validationmethods=dns-01"',
        '0 issue "pki.example"',
        '0 issuewild ";"',
    )
    exchangers = ("10 mx1.corp.example.", "10 mx2.corp.example.")
    report = "v=TLSRPTv1; rua=mailto:reports@corp.example,https://reports.example/v1"
    published = RECORDS
    assert published == (
        Record("_smtp._tls.brand.example", "TXT", 300, (report,)),
        Record("_smtp._tls.corp.example", "TXT", 300, (report,)),
        Record("brand.example", "MX", 300, exchangers),
        Record("corp.example", "MX", 300, exchangers),
        Record("mta-sts.brand.example", "A", 300, ("192.0.2.11",)),
        Record("mta-sts.brand.example", "CAA", 300, caa),
        Record("mta-sts.corp.example", "A", 300, ("192.0.2.11",)),
        Record("mta-sts.corp.example", "CAA", 300, caa),
        Record("mx1.corp.example", "A", 300, ("192.0.2.1",)),
        Record("mx1.corp.example", "AAAA", 300, ("2001:db8::1",)),
        Record("mx1.corp.example", "CAA", 300, caa),
        Record("mx2.corp.example", "A", 300, ("192.0.2.2",)),
        Record("mx2.corp.example", "CAA", 300, caa),
    )


def test_no_caa_stands_at_a_domain_whose_other_certificates_it_would_govern() -> None:
    assert not [r for r in RECORDS if r.type == "CAA" and r.name.split(".")[0] == "corp"]


def test_zone_lines_are_a_master_file() -> None:
    records = (*RECORDS, mta_sts_record("corp.example", "20261124T0900", 300))
    head = "@ 3600 IN SOA ns. host. 1 2 3 4 5\n@ 3600 IN NS ns.\n"
    zone = dns.zone.from_text(head + zone_lines(records), "example.", relativize=False)
    for record in records:
        found = zone.find_rdataset(f"{record.name}.", record.type)
        assert found.ttl == record.ttl
        assert {rdata.to_text() for rdata in found} == {
            dns.rdata.from_text("IN", record.type, text).to_text() for text in record.rdata()
        }


def test_the_sts_record_is_not_cut_at_its_semicolon() -> None:
    (text,) = mta_sts_record("corp.example", "abc123").rdata()
    parsed = dns.rdata.from_text("IN", "TXT", text)
    assert isinstance(parsed, TXT)
    assert b"".join(parsed.strings) == b"v=STSv1; id=abc123;"


@given(st.text(max_size=700))
def test_txt_survives_quoting(text: str) -> None:
    parsed = dns.rdata.from_text("IN", "TXT", quote_txt(text))
    assert isinstance(parsed, TXT)
    assert b"".join(parsed.strings) == text.encode()
    assert all(len(string) <= 255 for string in parsed.strings)


@pytest.mark.parametrize(
    ("destination", "uri"),
    [
        ("tls@corp.example", "mailto:tls@corp.example"),
        ("mailto:tls@corp.example", "mailto:tls@corp.example"),
        ("https://r.example/a,b;c!d", "https://r.example/a%2Cb%3Bc%21d"),
    ],
)
def test_report_uris_are_encoded(destination: str, uri: str) -> None:
    assert tlsrpt_value([destination]) == f"v=TLSRPTv1; rua={uri}"


@pytest.mark.parametrize("destination", ["", "corp.example", "http://r.example", "a b@c.example"])
def test_a_bad_report_destination_is_refused(destination: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(destination))):
        tlsrpt_value([destination])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"domains": ("Corp.example",)}, "'Corp.example' is not a host name"),
        ({"domains": ("corp.example.",)}, "is not a host name"),
        ({"hosts": {"mx_1.corp.example": ("192.0.2.1",)}}, "is not a host name"),
        ({"hosts": {"mx1.corp.example": ("192.0.2.300",)}}, "192.0.2.300"),
        ({"caa_issuers": ('ca.example" ; x',)}, "is not a host name"),
        ({"caa_issuers": ('ca.example; x="1"',)}, "CAA issuer"),
    ],
)
def test_what_is_no_name_or_address_is_refused(change: dict[str, object], said: str) -> None:
    arguments: dict[str, object] = {
        "domains": ("corp.example",),
        "hosts": {"mx1.corp.example": ("192.0.2.1",)},
    }
    with pytest.raises(ValueError, match=re.escape(said)):
        gateway_records(**(arguments | change))  # type: ignore[arg-type]
