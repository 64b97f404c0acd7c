"""What a partner finds in DNS about our own domains: mail servers, TLSA records and MTA-STS."""

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
class OwnHost:
    """One of our mail servers. `tlsa`: its signed TLSA records in presentation format."""

    name: str
    tlsa: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnDomain:
    """One of our domains, and its mail servers."""

    name: str
    hosts: tuple[OwnHost, ...]
    sts: Sts


def look_up_own_domains(
    domains: Sequence[str], resolver: Resolver, extra_ca: str
) -> tuple[OwnDomain, ...]:
    """Return what DNS and our policy hosts say now. Raises ProblemsError if a domain has no MX."""
    lookups = lookups_of(resolver)

    async def look() -> list[OwnDomain | Problem]:
        return list(await asyncio.gather(*(_look(one, lookups, extra_ca) for one in domains)))

    found = asyncio.run(look())
    problems = [one for one in found if isinstance(one, Problem)]
    if problems:
        raise ProblemsError(problems)
    return tuple(one for one in found if isinstance(one, OwnDomain))


async def _look(domain: str, lookups: DnsLookups, extra_ca: str) -> OwnDomain | Problem:
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
        OwnHost(host.name, tuple(record.to_text() for record in host.tlsa)) for host in route.hosts
    )
    return OwnDomain(domain, hosts, published.sts)
