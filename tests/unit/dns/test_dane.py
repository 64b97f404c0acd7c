"""RFC 7672: which domains are DANE's, and which look-up may fail without harm."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import dns.rdata
import pytest
from dns.rdtypes.ANY.TLSA import TLSA

from tests.unit.dns.fake_dns import FakeLookups, Table
from tlsgate.dns.dane import HOSTS_LIMIT, Domain, Host, combine, domain_dane, is_usable
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
        ({**MX, **SECURE, MX1: USABLE, MX2: USABLE}, Domain.COMPLETE),
        ({**MX, **SECURE, MX1: USABLE}, Domain.PARTIAL),
        ({**MX, **SECURE, MX1: USABLE, MX2: None}, Domain.PARTIAL),
        ({**MX, **SECURE}, Domain.NONE),
        ({**MX, **SECURE, MX1: None}, Domain.UNKNOWN),
        ({**MX, **SECURE, MX1: None, MX2: None}, Domain.FAILED),
        ({**MX, **SECURE, ("mx1.example", "A"): None, ("mx2.example", "A"): None}, Domain.FAILED),
        # A host without address is nobody's: the others decide.
        ({**MX, ("mx1.example", "A"): (True, ["192.0.2.1"]), MX1: USABLE}, Domain.COMPLETE),
        # Without security on the way there, TLSA is not even asked for.
        ({**MX, ("mx1.example", "A"): (False, ["192.0.2.1"]), MX1: None}, Domain.NONE),
        ({("d.example", "MX"): (False, ["10 mx1.example."]), **SECURE, MX1: USABLE}, Domain.NONE),
        ({**MX, **SECURE, MX1: (False, [f"3 1 1 {DIGEST}"])}, Domain.NONE),
        # Unusable records are no DANE (Postfix encrypts without authentication).
        ({**MX, **SECURE, MX1: (True, [f"1 1 1 {DIGEST}"])}, Domain.NONE),
        # No MX: the domain is its own host. A null MX: there is no host.
        (
            {("d.example", "A"): (True, ["192.0.2.1"]), ("_25._tcp.d.example", "TLSA"): USABLE},
            Domain.COMPLETE,
        ),
        ({("d.example", "MX"): (True, ["0 ."])}, Domain.NONE),
        ({}, Domain.NONE),
    ],
)
def test_domains(table: Table, state: Domain) -> None:
    assert asyncio.run(domain_dane(FakeLookups(table), "d.example")) is state


def test_an_mx_that_cannot_be_looked_up_is_a_failure() -> None:
    with pytest.raises(LookupFailure):
        asyncio.run(domain_dane(FakeLookups({("d.example", "MX"): None}), "d.example"))


def test_absent_hosts_alone_are_no_dane() -> None:
    assert combine([Host.ABSENT, Host.ABSENT]) is Domain.NONE


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
    ("preference", "state"), [(5, Domain.PARTIAL), (15, Domain.UNKNOWN), (10, Domain.PARTIAL)]
)
def test_hosts_over_the_limit_count_as_not_looked_up(preference: int, state: Domain) -> None:
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
