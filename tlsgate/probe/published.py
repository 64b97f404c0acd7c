"""What a domain publishes about TLS beside its MX: MTA-STS (RFC 8461) and TLS-RPT (RFC 8460).

The MTA-STS policy is found, fetched and checked by the code of the gateway's policy helper.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dns.rdtypes.ANY.TXT import TXT

from tlsgate.dns.lookups import Answer, DnsLookups, LookupFailure
from tlsgate.mta_sts.policy import ENFORCE, TESTING, PolicyFault, policy_id
from tlsgate.problems import visible


class Sts(StrEnum):
    """What a sender makes of the domain's MTA-STS."""

    NONE = "none"
    ENFORCE = "enforce"
    TESTING = "testing"
    OFF = "off"
    """The policy's mode is `none`."""
    BROKEN = "broken"
    """There is a record, and no policy that can be used: senders act as if there were none."""
    UNKNOWN = "unknown"
    """The record could not be looked up: senders that know no policy act as if there were none."""


@dataclass(frozen=True, slots=True)
class Published:
    """`sts_detail`: why it is broken or unknown. `sts_mx`: the policy's hosts, `*.name` too.

    `reports`: the addresses of the TLS-RPT record (`mailto:…`, `https:…`); empty without one.
    """

    sts: Sts = Sts.NONE
    sts_detail: str = ""
    sts_mx: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()


async def find_published(
    lookups: DnsLookups, domain: str, trust: Callable[[], ssl.SSLContext], https_port: int
) -> Published:
    """Looks both up; never raises for what the domain publishes."""
    found, reports = await asyncio.gather(
        _sts(lookups, domain, trust, https_port), _reports(lookups, domain)
    )
    return Published(*found, reports)


async def _sts(
    lookups: DnsLookups, domain: str, trust: Callable[[], ssl.SSLContext], port: int
) -> tuple[Sts, str, tuple[str, ...]]:
    try:
        texts = await _texts(lookups, "_mta-sts", domain)
    except LookupFailure as failure:
        return Sts.UNKNOWN, str(failure), ()
    if not any(text.startswith("v=STSv1") for text in texts):
        return Sts.NONE, "", ()
    if policy_id(texts) is None:
        return Sts.BROKEN, "its record is not the one that RFC 8461 asks for", ()
    # Half a second to load, and most domains have no policy.
    from tlsgate.mta_sts.fetch import FetchFault, PolicyFetcher  # noqa: PLC0415

    try:
        policy = await PolicyFetcher(lookups, trust, port).fetch(domain)
    except (FetchFault, PolicyFault) as fault:
        return Sts.BROKEN, visible(str(fault)), ()
    mode = {ENFORCE: Sts.ENFORCE, TESTING: Sts.TESTING}.get(policy.mode, Sts.OFF)
    return mode, "", policy.mx


async def _reports(lookups: DnsLookups, domain: str) -> tuple[str, ...]:
    try:
        texts = await _texts(lookups, "_smtp._tls", domain)
    except LookupFailure:
        return ()
    records = [text for text in texts if text.startswith("v=TLSRPTv1")]
    if len(records) != 1:  # RFC 8460, section 3: several are as good as none
        return ()
    fields = (field.strip() for field in records[0].split(";"))
    return tuple(
        visible(address.strip())
        for field in fields
        if field.startswith("rua=")
        for address in field.removeprefix("rua=").split(",")
    )


async def _texts(lookups: DnsLookups, label: str, domain: str) -> list[str]:
    answer: Answer = await lookups.ask(f"{label}.{domain}", "TXT")
    return [
        b"".join(record.strings).decode("ascii", "replace")
        for record in answer.records
        if isinstance(record, TXT)
    ]
