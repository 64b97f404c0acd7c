"""What DANE says about a mail domain (RFC 7672, sections 2.2 and 3.1).

This is a look ahead, not the enforcement: where a domain has DANE, Postfix's own level `dane`
looks again and decides. The look is needed because an MTA-STS answer from the policy map would
hide DANE, which RFC 8461, section 2, forbids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum

from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TLSA import TLSA

from tlsgate.dns.lookups import DnsLookups, LookupFailure

HOSTS_LIMIT = 20
"""Limit of hosts, in the order of preference; any others count as not looked up."""
HOST_SECONDS = 2.0
"""Time limit for one host. Otherwise a host whose DNS hangs would use up the whole time of a query,
although Postfix would skip the host and deliver to another."""

_DIGEST_OCTETS = {1: 32, 2: 64}
"""Matching type → octets (RFC 6698, section 2.1.3)."""


class HostDane(Enum):
    """One MX host."""

    DANE = "has usable TLSA records"
    BARE = "has none"
    ABSENT = "has no address"
    FAILED = "could not be looked up"


class DomainDane(Enum):
    """A mail domain: all of its MX hosts together."""

    COMPLETE = "every host has DANE"
    PARTIAL = "some hosts have DANE"
    NONE = "no host has DANE"
    UNKNOWN = "no host is known to have DANE, and some could not be looked up"
    FAILED = "no host could be looked up"


async def domain_dane(lookups: DnsLookups, domain: str) -> DomainDane:
    """DANE of every MX host of the domain. Raises LookupFailure if its MX look-up fails."""
    answer = await lookups.ask(domain, "MX")
    if not answer.records:
        # RFC 5321, section 5.1: without MX the domain is its own mail host.
        return combine([await host_dane(lookups, domain)])
    if not answer.secure:
        return DomainDane.NONE
    found = sorted(
        (record.preference, record.exchange.to_text(omit_final_dot=True).lower())
        for record in answer.records
        if isinstance(record, MX)
    )
    # RFC 7505: a null MX is no host.
    hosts = list(dict.fromkeys(name for _, name in found if name not in {"", "."}))
    seen = await asyncio.gather(*(host_dane(lookups, host) for host in hosts[:HOSTS_LIMIT]))
    return combine([*seen, *(HostDane.FAILED for _ in hosts[HOSTS_LIMIT:])])


def combine(hosts: Sequence[HostDane]) -> DomainDane:
    """The domain's state from its hosts'; hosts without an address count for nothing."""
    seen = {host for host in hosts if host is not HostDane.ABSENT}
    if HostDane.DANE in seen:
        return DomainDane.COMPLETE if seen == {HostDane.DANE} else DomainDane.PARTIAL
    if HostDane.FAILED in seen:
        return DomainDane.FAILED if seen == {HostDane.FAILED} else DomainDane.UNKNOWN
    return DomainDane.NONE


async def host_dane(lookups: DnsLookups, host: str) -> HostDane:
    """RFC 7672, section 2.2.2: TLSA is only looked up if the address is secure."""
    try:
        async with asyncio.timeout(HOST_SECONDS):
            return await _host_dane(lookups, host)
    except (LookupFailure, TimeoutError):
        return HostDane.FAILED


async def _host_dane(lookups: DnsLookups, host: str) -> HostDane:
    address = await lookups.ask(host, "A")
    if not address.records:
        address = await lookups.ask(host, "AAAA")
    if not address.records:
        return HostDane.ABSENT
    if not address.secure:
        return HostDane.BARE
    for base in dict.fromkeys((address.canonical, host)):
        tlsa = await lookups.ask(f"_25._tcp.{base}", "TLSA")
        if tlsa.secure and any(is_usable(r) for r in tlsa.records if isinstance(r, TLSA)):
            return HostDane.DANE
    return HostDane.BARE


def is_usable(record: TLSA) -> bool:
    """DANE-TA(2) or DANE-EE(3) with parameters that are defined (RFC 7672, section 3.1)."""
    octets = len(record.cert)
    return (
        record.usage in {2, 3}
        and record.selector in {0, 1}
        and record.mtype in {0, 1, 2}
        and octets > 0
        and octets == _DIGEST_OCTETS.get(record.mtype, octets)
    )
