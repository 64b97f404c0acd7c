"""Whether mail to a domain would be encrypted: what the gateway demands, and what it would meet.

The demand is found in the gateway's order: the partner list, then the policy helper's own answer
(DANE and MTA-STS), then Postfix's default. What would happen now is found by the look-ups and
handshakes that Postfix would make (tlsgate.smtp.delivery).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tlsgate.dns.lookups import DnsLookups
from tlsgate.dns.mail_route import Dane, Route, find_route
from tlsgate.dns.nameservers import Resolver, lookups_of
from tlsgate.probe.policy_answer import Policies
from tlsgate.probe.prediction import EXCEPTED, Outcome, Prediction, Protection
from tlsgate.smtp.delivery import DeliveryAttempt, SimulatedDelivery, final_word
from tlsgate.smtp.dialogue import Limits
from tlsgate.smtp.offers import Contexts
from tlsgate.smtp.requirement import (
    OPPORTUNISTIC,
    Level,
    Requirement,
    listed_policy,
    parse_policy,
)
from tlsgate.smtp.sessions import SessionPool

AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """`extra_ca`: PEM, roots besides the system's, as the gateway has them.

    `anchors`: file name → PEM of the private CAs that the table names.
    """

    resolver: Resolver
    extra_ca: str = ""
    limits: Limits = field(default_factory=Limits)
    https_port: int = 443
    anchors: Mapping[str, str] = field(default_factory=dict)


def predict_all(
    domains: Sequence[str], table: Mapping[str, str], settings: CheckSettings
) -> list[Prediction]:
    """A prediction for each domain (lower-case A-labels) from the compiled outbound `table`.

    Raises ValueError for a policy that is not understood; what the network does is in the answers.
    """
    return asyncio.run(_predict_all(domains, table, settings, lookups_of(settings.resolver)))


async def _predict_all(
    domains: Sequence[str], table: Mapping[str, str], settings: CheckSettings, lookups: DnsLookups
) -> list[Prediction]:
    contexts = Contexts(settings.extra_ca, settings.anchors)
    sessions = SessionPool(contexts, settings.limits, AT_ONCE)
    policies = Policies(lookups, settings.extra_ca, settings.https_port)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(domain: str) -> Prediction:
        async with slots:
            return await predict(domain, table, lookups, policies, sessions)

    return list(await asyncio.gather(*map(one, domains)))


async def predict(
    domain: str,
    table: Mapping[str, str],
    lookups: DnsLookups,
    policies: Policies,
    sessions: SessionPool,
) -> Prediction:
    """The prediction for one domain (lower-case A-labels) from the compiled outbound `table`.

    Never raises for what the network does; ValueError for a policy that is not understood.
    """
    text = listed_policy(table, domain)
    protection = Protection.MANDATORY
    if text is None:
        text, temporary = await policies.answer(domain)
        if temporary:
            return Prediction(domain, Protection.UNKNOWN, Outcome.HELD, reason=temporary)
        protection = Protection.OPPORTUNISTIC if text is None else Protection.MTA_STS
    requirement = OPPORTUNISTIC
    if text is not None:
        requirement = parse_policy(text, domain, partner=protection is Protection.MANDATORY)
    if requirement.level in EXCEPTED:
        protection = Protection.EXCEPTION
    route = await find_route(lookups, domain)
    listed = protection in {Protection.MANDATORY, Protection.EXCEPTION}
    if not listed and _by_dane(route, requirement):
        protection = Protection.DANE
    made = await SimulatedDelivery(route, requirement, sessions, datetime.now(UTC)).attempts()
    if made and made[-1].reason is None:
        last = made[-1]
        return Prediction(
            domain, protection, Outcome.SENT, requirement, "", last.place, last.version
        )
    outcome, reason = _not_sent(listed, route, made)
    return Prediction(domain, protection, outcome, requirement, reason)


def _by_dane(route: Route, requirement: Requirement) -> bool:
    """Whether DANE governs every host: one without would be served as opportunism allows."""
    if requirement.level is Level.DANE_ONLY:
        return True
    hosts = [host for host in route.hosts if host.addresses]
    bound = {Dane.USABLE, Dane.FAILED}
    return (
        requirement.level is Level.DANE
        and any(host.dane is Dane.USABLE for host in hosts)
        and all(host.dane in bound for host in hosts)
    )


def _not_sent(listed: bool, route: Route, made: Sequence[DeliveryAttempt]) -> tuple[Outcome, str]:
    reasons = dict.fromkeys(one.reason.text for one in made if one.reason)
    reason = "; ".join(reasons) or (route.missing.value if route.missing else "no server")
    word = final_word(route, made)
    if word and listed:
        return Outcome.HELD, f"{reason}; {word} never returns mail to a partner"
    return Outcome.RETURNED if word else Outcome.HELD, reason
