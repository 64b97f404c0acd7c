"""What DNS tells a partner of us: our domains' servers, their TLSA records, and MTA-STS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tlsgate.certificates.trust import trust_store
from tlsgate.dns.lookups import DnsLookups
from tlsgate.dns.mail_route import find_route
from tlsgate.dns.nameservers import Resolver, lookups_of
from tlsgate.probe.published import Sts, find_published
from tlsgate.problems import Problem, ProblemsError

HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class OurHost:
    """A gateway. `tlsa`: its signed records in DNS's words."""

    name: str
    tlsa: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OurDomain:
    """One of our domains, and who takes its mail."""

    name: str
    hosts: tuple[OurHost, ...]
    sts: Sts


def look_at_ourselves(
    domains: Sequence[str], resolver: Resolver, extra_ca: str
) -> tuple[OurDomain, ...]:
    """Return what DNS and our policy hosts say now. Raises ProblemsError for what is not there."""
    lookups = lookups_of(resolver)

    async def look() -> list[OurDomain | Problem]:
        return list(await asyncio.gather(*(_look(one, lookups, extra_ca) for one in domains)))

    found = asyncio.run(look())
    problems = [one for one in found if isinstance(one, Problem)]
    if problems:
        raise ProblemsError(problems)
    return tuple(one for one in found if isinstance(one, OurDomain))


async def _look(domain: str, lookups: DnsLookups, extra_ca: str) -> OurDomain | Problem:
    route, published = await asyncio.gather(
        find_route(lookups, domain),
        find_published(lookups, domain, lambda: trust_store(extra_ca), HTTPS_PORT),
    )
    if not route.hosts or route.implicit:
        why = route.missing.value if route.missing else "it has no MX"
        remedy = "Deploy the gateway first, so that the letter can name its hosts"
        message = f"our own domain names no mail server ({why})"
        return Problem("", 0, domain, "no-own-mx", message, remedy)
    hosts = tuple(
        OurHost(host.name, tuple(record.to_text() for record in host.tlsa)) for host in route.hosts
    )
    return OurDomain(domain, hosts, published.sts)
