"""Where mail for a domain goes, and what DNS says about each host (RFC 5321, 5.1; RFC 7672, 2.2).

The same look-ups as Postfix makes at the level `dane`: TLSA is asked for only where the MX and the
host's address are validated by DNSSEC. What cannot be looked up is reported, not treated as absent.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from enum import StrEnum

from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TLSA import TLSA

from tlsgate.dns.dane import is_usable
from tlsgate.dns.lookups import Answer, DnsLookups, LookupFailure

HOSTS_LIMIT = 20
ADDRESSES_LIMIT = 16
"""Addresses of one host. No more are contacted, whatever DNS says."""
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*")


class NoRoute(StrEnum):
    """Why there is no server to ask."""

    ABSENT = "the domain has neither MX nor address records"
    NULL_MX = "the domain says that it takes no mail (null MX, RFC 7505)"
    LOOKUP = "the MX look-up failed"


class Dane(StrEnum):
    """What DNS says about DANE at one host."""

    USABLE = "usable"
    UNUSABLE = "unusable"
    NONE = "none"
    FAILED = "failed"


_TlsaAnswer = tuple[Dane, tuple[TLSA, ...], str]


@dataclass(frozen=True, slots=True)
class MxHost:
    """A mail server of a domain.

    `secure`: its addresses are validated. `tlsa`: the usable records, at the name `tlsa_base`.
    `left_out`: addresses beyond the limit. `fault`: why it has no address, empty if it has.
    """

    name: str
    preference: int
    addresses: tuple[str, ...] = ()
    secure: bool = False
    dane: Dane = Dane.NONE
    tlsa: tuple[TLSA, ...] = ()
    tlsa_base: str = ""
    left_out: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """The hosts by preference. `secure`: the MX answer is validated. `implicit`: there is no MX.

    `left_out`: hosts and addresses beyond the limits, which are not contacted.
    """

    domain: str
    secure: bool = False
    implicit: bool = False
    hosts: tuple[MxHost, ...] = ()
    left_out: int = 0
    missing: NoRoute | None = None
    detail: str = ""


async def find_route(lookups: DnsLookups, domain: str) -> Route:
    """Looks everything up; never raises for what DNS answers."""
    try:
        answer = await lookups.ask(domain, "MX")
    except LookupFailure as failure:
        return Route(domain, missing=NoRoute.LOOKUP, detail=str(failure))
    records = sorted(
        (record.preference, _host_name(record))
        for record in answer.records
        if isinstance(record, MX)
    )
    if records and all(name == "" for _, name in records):
        return Route(domain, answer.secure, missing=NoRoute.NULL_MX)
    if not records:
        host = await _host(lookups, domain, 0, secure_mx=True)
        if host.fault and not host.addresses:
            failed = host.dane is Dane.FAILED
            missing = NoRoute.LOOKUP if failed else NoRoute.ABSENT
            return Route(domain, missing=missing, detail=host.fault)
        return Route(domain, host.secure, implicit=True, hosts=(host,))
    hosts = await asyncio.gather(
        *(_host(lookups, name, number, answer.secure) for number, name in records[:HOSTS_LIMIT])
    )
    left_out = len(records) - len(hosts) + sum(host.left_out for host in hosts)
    return Route(domain, answer.secure, hosts=tuple(hosts), left_out=left_out)


def _host_name(record: MX) -> str:
    return record.exchange.to_text(omit_final_dot=True).lower().removesuffix(".")


async def _host(lookups: DnsLookups, name: str, preference: int, secure_mx: bool) -> MxHost:
    if not _HOST_NAME.fullmatch(name):
        return MxHost(name, preference, fault="the MX is not a host name")
    four, six = await asyncio.gather(_ask(lookups, name, "A"), _ask(lookups, name, "AAAA"))
    answers = [answer for answer in (four, six) if isinstance(answer, Answer)]
    addresses = tuple(record.to_text() for answer in answers for record in answer.records)
    if not addresses:
        failed = [str(one) for one in (four, six) if isinstance(one, LookupFailure)]
        if failed:
            return MxHost(name, preference, dane=Dane.FAILED, fault=failed[0])
        return MxHost(name, preference, fault=f"{name} has no address")
    first = next(answer for answer in answers if answer.records)
    found: _TlsaAnswer = (Dane.NONE, (), "")
    if secure_mx and first.secure:
        found = await _tlsa(lookups, dict.fromkeys((first.canonical, name)))
    kept = addresses[:ADDRESSES_LIMIT]
    return MxHost(name, preference, kept, first.secure, *found, len(addresses) - len(kept))


async def _ask(lookups: DnsLookups, name: str, rdtype: str) -> Answer | LookupFailure:
    try:
        return await lookups.ask(name, rdtype)
    except LookupFailure as failure:
        return failure


async def _tlsa(lookups: DnsLookups, bases: dict[str, None]) -> _TlsaAnswer:
    """RFC 7672, section 2.2.2: at the name behind CNAMEs first, then at the host's own."""
    found = Dane.NONE
    for base in bases:
        answer = await _ask(lookups, f"_25._tcp.{base}", "TLSA")
        if isinstance(answer, LookupFailure):
            return Dane.FAILED, (), base
        records = [record for record in answer.records if isinstance(record, TLSA)]
        if not answer.secure or not records:
            continue
        usable = tuple(record for record in records if is_usable(record))
        if usable:
            return Dane.USABLE, usable, base
        found = Dane.UNUSABLE
    return found, (), ""
