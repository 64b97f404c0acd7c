"""The probe: what domains' mail servers show to a sender, all domains at once, within bounds.

`probe_domains` is the interface; what it does on the network is in tlsgate.smtp.sessions (SMTP,
one connection at a time to an address), tlsgate.dns.mail_route (DNS) and `published` (DNS, HTTPS).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tlsgate.certificates.trust import trust_store
from tlsgate.dns.lookups import DnsLookups
from tlsgate.dns.mail_route import Dane, MxHost, find_route
from tlsgate.dns.nameservers import Resolver, lookups_of
from tlsgate.partners.model import Mode, Partner, Verify
from tlsgate.probe.published import find_published
from tlsgate.probe.result import ProbeResult, Server
from tlsgate.probe.verdict import judge
from tlsgate.render.partner_maps import compile_partners
from tlsgate.smtp.dialogue import Limits
from tlsgate.smtp.offers import Contexts, Offer
from tlsgate.smtp.requirement import Requirement, Terms, listed_policy, parse_policy
from tlsgate.smtp.server_contact import contact_server
from tlsgate.smtp.sessions import SessionPool

AT_ONCE = 128
"""Each needs some file descriptors: well below the usual limit of 1,024 for all."""


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """`partners`: what they demand is what their domains are held against.

    `extra_ca`: PEM, roots besides the system's. `at_once`: domains, and connections, at a time.
    """

    resolver: Resolver
    partners: tuple[Partner, ...] = ()
    extra_ca: str = ""
    limits: Limits = field(default_factory=Limits)
    https_port: int = 443
    at_once: int = AT_ONCE


def probe_domains(domains: Sequence[str], settings: ProbeSettings) -> list[ProbeResult]:
    """Probe the domains (lower-case A-labels) and return a result each, in their order.

    Raises ValueError if the partners cannot be compiled, OSError if the roots cannot be read; what
    the network does is in the results.
    """
    return asyncio.run(probe_all(domains, settings, lookups_of(settings.resolver)))


async def probe_all(
    domains: Sequence[str], settings: ProbeSettings, lookups: DnsLookups
) -> list[ProbeResult]:
    """As `probe_domains`, with the look-ups given."""
    prober = _Prober(settings, lookups)
    return list(await asyncio.gather(*map(prober.probe, domains)))


class _Prober:
    """What the domains of one run share."""

    def __init__(self, settings: ProbeSettings, lookups: DnsLookups) -> None:
        self._lookups = lookups
        self._https_port = settings.https_port
        self._table = _strict_table(settings.partners)
        self._sessions = SessionPool(Contexts(settings.extra_ca), settings.limits, settings.at_once)
        self._trust = trust_store(settings.extra_ca)
        self._slots = asyncio.Semaphore(settings.at_once)

    async def probe(self, domain: str) -> ProbeResult:
        """The verdict on one domain."""
        async with self._slots:
            published = asyncio.create_task(
                find_published(self._lookups, domain, lambda: self._trust, self._https_port)
            )
            route = await find_route(self._lookups, domain)
            requirement = self._requirement(domain)
            terms = requirement.terms if requirement else Terms.STRONG
            found = await asyncio.gather(*(self._servers(host, terms) for host in route.hosts))
            servers = [server for group in found for server in group]
            return judge(route, servers, await published, requirement, datetime.now(UTC))

    async def _servers(self, host: MxHost, terms: Terms) -> list[Server]:
        # One address after the other: they may well be one machine.
        return [await self._server(host, address, terms) for address in host.addresses]

    async def _server(self, host: MxHost, address: str, terms: Terms) -> Server:
        offer = Offer(terms, host.name, verified=True)
        contact = await contact_server(self._sessions, host.name, address, offer)
        if host.dane is not Dane.USABLE or host.tlsa_base == host.name or not contact.offers_tls:
            return Server(host, contact)
        by_base = replace(offer, sni=host.tlsa_base)
        return Server(
            host, contact, await contact_server(self._sessions, host.name, address, by_base)
        )

    def _requirement(self, domain: str) -> Requirement | None:
        text = listed_policy(self._table, domain)
        return parse_policy(text, domain) if text is not None else None


def _strict_table(partners: Sequence[Partner]) -> dict[str, str]:
    """What each record demands without its exceptions, also where it is only observed.

    A private CA's servers are held against the public ones: theirs cannot be told from outside.
    """
    strict = [
        replace(partner, mode=Mode.ENFORCE, exceptions=())
        for partner in partners
        if partner.outbound.verify is not Verify.PRIVATE_CA
    ]
    return dict(compile_partners(strict).outbound)
