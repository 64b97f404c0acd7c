"""RFC 7672: which domains are DANE's, and which look-up may fail without harm."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import dns.rdata
import pytest
from dns.rdtypes.ANY.TLSA import TLSA

from tests.unit.dns.fake_dns import FakeLookups, Table
from tlsgate.dns.dane import HOSTS_LIMIT, DomainDane, HostDane, combine, domain_dane, is_usable
from tlsgate.dns.lookups import LookupFailure

DIGEST = "ab" * 32
MX: Table = {("d.example", "MX"): (True, ["10 mx1.example.", "20 mx2.example."])}
MX1, MX2 = ("_25._tcp.mx1.example", "TLSA"), ("_25._tcp.mx2.example", "TLSA")
SECURE: Table = {
    ("mx1.example", "A"): (True, ["192.0.2.1"]),
    ("mx2.example", "AAAA"): (True, ["2001:db8::2"]),
}
USABLE = (True, [f"3 1 1 {DIGEST}"])


@pytest.mark.parametrize(
    ("table", "state"),
    [
        ({**MX, **SECURE, MX1: USABLE, MX2: USABLE}, DomainDane.COMPLETE),
        ({**MX, **SECURE, MX1: USABLE}, DomainDane.PARTIAL),
        ({**MX, **SECURE, MX1: USABLE, MX2: None}, DomainDane.PARTIAL),
        ({**MX, **SECURE}, DomainDane.NONE),
        ({**MX, **SECURE, MX1: None}, DomainDane.UNKNOWN),
        ({**MX, **SECURE, MX1: None, MX2: None}, DomainDane.FAILED),
        (
            {**MX, **SECURE, ("mx1.example", "A"): None, ("mx2.example", "A"): None},
            DomainDane.FAILED,
        ),
        # A host without address is nobody's: the others decide.
        ({**MX, ("mx1.example", "A"): (True, ["192.0.2.1"]), MX1: USABLE}, DomainDane.COMPLETE),
        # Without security on the way there, TLSA is not even asked for.
        ({**MX, ("mx1.example", "A"): (False, ["192.0.2.1"]), MX1: None}, DomainDane.NONE),
        (
            {("d.example", "MX"): (False, ["10 mx1.example."]), **SECURE, MX1: USABLE},
            DomainDane.NONE,
        ),
        ({**MX, **SECURE, MX1: (False, [f"3 1 1 {DIGEST}"])}, DomainDane.NONE),
        # Unusable records are no DANE (Postfix encrypts without authentication).
        ({**MX, **SECURE, MX1: (True, [f"1 1 1 {DIGEST}"])}, DomainDane.NONE),
        # No MX: the domain is its own host. A null MX: there is no host.
        (
            {("d.example", "A"): (True, ["192.0.2.1"]), ("_25._tcp.d.example", "TLSA"): USABLE},
            DomainDane.COMPLETE,
        ),
        ({("d.example", "MX"): (True, ["0 ."])}, DomainDane.NONE),
        ({}, DomainDane.NONE),
    ],
)
def test_domains(table: Table, state: DomainDane) -> None:
    assert asyncio.run(domain_dane(FakeLookups(table), "d.example")) is state


def test_an_mx_that_cannot_be_looked_up_is_a_failure() -> None:
    with pytest.raises(LookupFailure):
        asyncio.run(domain_dane(FakeLookups({("d.example", "MX"): None}), "d.example"))


def test_absent_hosts_alone_are_no_dane() -> None:
    assert combine([HostDane.ABSENT, HostDane.ABSENT]) is DomainDane.NONE


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        (f"3 1 1 {DIGEST}", True),
        (f"2 0 1 {DIGEST}", True),
        (f"3 0 2 {DIGEST}{DIGEST}", True),
        ("3 1 0 3059", True),
        (f"0 1 1 {DIGEST}", False),
        (f"1 1 1 {DIGEST}", False),
        (f"3 2 1 {DIGEST}", False),
        (f"3 1 3 {DIGEST}", False),
    ],
)
def test_usable_records(text: str, usable: bool) -> None:
    record = dns.rdata.from_text("IN", "TLSA", text)
    assert isinstance(record, TLSA)
    assert is_usable(record) is usable


@pytest.mark.parametrize(("mtype", "octets"), [(1, 31), (1, 64), (2, 32), (0, 0)])
def test_digests_of_the_wrong_length_are_unusable(mtype: int, octets: int) -> None:
    # Newer releases of dnspython refuse such a record; Debian's does not.
    record = SimpleNamespace(usage=3, selector=1, mtype=mtype, cert=b"x" * octets)
    assert not is_usable(cast(TLSA, record))


@pytest.mark.parametrize(
    ("preference", "state"),
    [(5, DomainDane.PARTIAL), (15, DomainDane.UNKNOWN), (10, DomainDane.PARTIAL)],
)
def test_hosts_over_the_limit_count_as_not_looked_up(preference: int, state: DomainDane) -> None:
    """In the order of preference; what one domain can have looked up is bounded."""
    many = [f"10 m{number}.example." for number in range(HOSTS_LIMIT - (preference == 10))]
    lookups = FakeLookups(
        {
            ("d.example", "MX"): (True, [*many, f"{preference} mx1.example."]),
            **{(f"m{number}.example", "A"): (True, ["192.0.2.9"]) for number in range(HOSTS_LIMIT)},
            **SECURE,
            MX1: USABLE,
        }
    )
    assert asyncio.run(domain_dane(lookups, "d.example")) is state
    assert sum(rdtype == "A" for _, rdtype in lookups.asked) == HOSTS_LIMIT
