"""The partner list as Postfix reads it: both directions of one record (design decision D7).

Outbound: entries of `smtp_tls_policy_maps` (tlsgate.render.outbound_policy). The tables are asked
for the next-hop domain and then for `.parent` keys, so a partner with subdomains has two entries.
What ends with a date, and what a subdomain needs, is in the policy helper's rules
(tlsgate.render.partner_rules); a key is in the static table or in the rules, or in both alike.

Inbound: entries of `check_sender_access`. Each value is the name of a restriction class that
can refuse and never permit, so no entry opens the relay. With `parent_domain_matches_subdomains`
empty, `acme.example` means that domain alone and `.acme.example` all below it (access(5)).

| record                                   | class                                           |
| ---------------------------------------- | ----------------------------------------------- |
| require: tls                             | partner_tls: no question to the helper          |
| require: certificate, network            | partner_identity: TLS, then the helper          |
| + an exception that allows plaintext     | partner_dated: the helper, which knows its end  |
| mode: observe                            | partner_observed: the helper counts             |

A session is negotiated before its sender is known. So as soon as one record has `tls: compatible`,
port 25 offers older encryption to everybody, and what each other record demands is asked of the
helper: none of them is in partner_tls in that case.

The null sender names no domain. It needs TLS from the networks that a record names (`networks`),
and from the partners' MX hosts, which the helper looks up; or, by `tlsgate:inbound.nullSender`,
from everywhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tlsgate.partners.model import Allow, Direction, Mode, Partner, Require
from tlsgate.render.outbound_policy import (
    anchor_files,
    canonical_name,
    canonical_pin,
    exception_end,
    outbound_timeline,
)
from tlsgate.render.partner_rules import (
    InboundRule,
    NullSenderRule,
    Observed,
    OutboundRule,
    PartnerRules,
    observed,
)
from tlsgate.render.postfix_settings import PARTNERS
from tlsgate.tls import Strength

CLASS_TLS = "partner_tls"
"""Restriction class: the session is encrypted, and all that port 25 offers is strong enough."""
CLASS_IDENTITY = "partner_identity"
"""Restriction class: encrypted, and the policy helper knows the client and the session (D16)."""
CLASS_DATED = "partner_dated"
"""Restriction class: the policy helper knows whether TLS is needed now (D17)."""
CLASS_OBSERVED = "partner_observed"
"""Restriction class: the policy helper counts; nothing is refused."""
CLASS_RECIPIENT = "partner_recipient"
"""Restriction class: mail to an observed partner; the policy helper counts."""
CLASS_NULL_SENDER = "partner_null_sender"
"""Restriction class: encrypted if the client is in a partner's network, or its MX host."""
NULL_SENDER = "<>"
"""`smtpd_null_access_lookup_key`."""
PARTNER = "partner"
"""Transport of mail to partners whose rule has no end: no helper is asked."""
DATED = "partner-dated"
"""Transport of mail to partners whose rule ends with a date, which the helper knows (D17)."""
NEEDS_TLS = "reject_plaintext_session"
_BY_STRICTNESS = (CLASS_IDENTITY, NEEDS_TLS, CLASS_DATED, CLASS_OBSERVED)


@dataclass(frozen=True, slots=True)
class PartnerMaps:
    """The compiled list; every table is sorted by its key, `networks` by strictness first.

    `outbound`: TLS policy table. `inbound`: sender access table. `networks`: CIDR block →
    restriction for the null sender; the first block that holds the client counts. `recipients`:
    recipient access table of mail to observed partners. `rules`: for the policy helper. `anchors`:
    file name → PEM, of private CAs. `transports`: transport table of enforced partners.
    `strength`: the weakest that any record allows, observed ones too; port 25 offers it.
    """

    outbound: tuple[tuple[str, str], ...] = ()
    inbound: tuple[tuple[str, str], ...] = ()
    networks: tuple[tuple[str, str], ...] = ()
    recipients: tuple[tuple[str, str], ...] = ()
    rules: PartnerRules = field(default_factory=PartnerRules)
    anchors: tuple[tuple[str, str], ...] = ()
    transports: tuple[tuple[str, str], ...] = ()
    strength: Strength = Strength.STRONG

    @property
    def asks_certificates(self) -> bool:
        """Whether a partner must show a client certificate."""
        return any(rule.require == Require.CERTIFICATE for rule in self.rules.inbound)

    def outbound_at(self, now: datetime) -> dict[str, str]:
        """Every key's policy as it is in force at a time, whoever answers it."""
        dated = {one.key: one.timeline.at(now) for one in self.rules.outbound if not one.observe}
        return dict(self.outbound) | dated


def compile_partners(partners: Sequence[Partner], null_sender: str = PARTNERS) -> PartnerMaps:
    """Both directions of the whole list. The clock is not asked.

    `null_sender`: whose needs TLS, one of `NULL_SENDERS` of tlsgate.render.postfix_settings.
    Raises ValueError for a record that says what these tables cannot enforce: nothing is ever
    accepted and ignored.
    """
    made = _Tables(weakest(partners))
    for partner in partners:
        made.add(partner)
    null_senders = made.null_senders if null_sender == PARTNERS else []
    if null_sender != PARTNERS:
        made.inbound[NULL_SENDER] = NEEDS_TLS
    elif made.networks or null_senders:
        made.inbound[NULL_SENDER] = CLASS_NULL_SENDER
    return PartnerMaps(
        outbound=tuple(sorted(made.outbound.items())),
        inbound=tuple(sorted(made.inbound.items())),
        networks=tuple(
            sorted(made.networks.items(), key=lambda item: (_BY_STRICTNESS.index(item[1]), item[0]))
        ),
        recipients=tuple(sorted(made.recipients.items())),
        rules=PartnerRules(
            tuple(sorted(made.outbound_rules, key=lambda rule: rule.key)),
            tuple(sorted(made.inbound_rules, key=lambda rule: rule.domain)),
            tuple(sorted(made.observed, key=lambda one: one.partner)),
            tuple(sorted(null_senders, key=lambda rule: rule.domains)),
        ),
        anchors=tuple(sorted(made.anchors.items())),
        transports=tuple(sorted(made.transports.items())),
        strength=made.strength,
    )


def weakest(partners: Sequence[Partner]) -> Strength:
    """The weakest strength that any of the records allows."""
    compatible = any(partner.tls is Strength.COMPATIBLE for partner in partners)
    return Strength.COMPATIBLE if compatible else Strength.STRONG


class _Tables:
    """Builds the tables."""

    def __init__(self, strength: Strength) -> None:
        self.strength = strength
        self.outbound: dict[str, str] = {}
        self.inbound: dict[str, str] = {}
        self.networks: dict[str, str] = {}
        self.recipients: dict[str, str] = {}
        self.outbound_rules: list[OutboundRule] = []
        self.inbound_rules: list[InboundRule] = []
        self.observed: list[Observed] = []
        self.null_senders: list[NullSenderRule] = []
        self.anchors: dict[str, str] = {}
        self.transports: dict[str, str] = {}

    def add(self, partner: Partner) -> None:
        """One record. Raises ValueError."""
        observe = partner.mode is Mode.OBSERVE
        restriction = _restriction(partner, self.strength)
        for domain in map(_domain, partner.domains):
            keys = (domain, f".{domain}") if partner.subdomains else (domain,)
            for key in keys:
                if key in self.inbound:
                    raise ValueError(f"{key} is in two partner records, {partner.name} is one")
                self.inbound[key] = restriction
                self._add_outbound(partner, key, observe)
                if observe:
                    self.recipients[key] = CLASS_RECIPIENT
            if restriction != CLASS_TLS:
                self.inbound_rules.append(_inbound_rule(partner, domain))
        for cidr, value in _networks(partner, restriction, self.strength):
            same = self.networks.get(cidr, value)
            self.networks[cidr] = min(same, value, key=_BY_STRICTNESS.index)
        if observe:
            self.observed.append(observed(partner))
        else:
            self.null_senders.append(_null_sender_rule(partner))
        self.anchors |= anchor_files(partner.outbound)

    def _add_outbound(self, partner: Partner, key: str, observe: bool) -> None:
        timeline = outbound_timeline(partner, key)
        static = not timeline.periods and not observe
        if static:
            self.outbound[key] = timeline.then
        if not observe:
            self.transports[key] = f"{PARTNER if static else DATED}:"
        if not static or key.startswith("."):
            self.outbound_rules.append(OutboundRule(key, partner.name, observe, timeline))


def _restriction(partner: Partner, offered: Strength) -> str:
    if partner.mode is Mode.OBSERVE:
        return CLASS_OBSERVED
    if exception_end(partner.exceptions, Direction.INBOUND, Allow.PLAINTEXT):
        return CLASS_DATED
    needs_no_question = partner.inbound.require is Require.TLS and partner.tls is offered
    return CLASS_TLS if needs_no_question else CLASS_IDENTITY


def _networks(partner: Partner, restriction: str, offered: Strength) -> Iterator[tuple[str, str]]:
    """From where the null sender is the partner's, and what it needs."""
    # A network may be several partners': only the helper knows what the strictest demands.
    value = NEEDS_TLS if offered is Strength.STRONG else CLASS_IDENTITY
    if restriction in {CLASS_DATED, CLASS_OBSERVED}:
        value = restriction
    return ((_cidr(cidr), value) for cidr in partner.inbound.networks)


def _null_sender_rule(partner: Partner) -> NullSenderRule:
    until = exception_end(partner.exceptions, Direction.INBOUND, Allow.PLAINTEXT)
    domains = tuple(map(_domain, partner.domains))
    return NullSenderRule(partner.name, domains, partner.tls, until)


def _inbound_rule(partner: Partner, domain: str) -> InboundRule:
    inbound, rules = partner.inbound, partner.exceptions
    return InboundRule(
        partner=partner.name,
        domain=domain,
        subdomains=partner.subdomains,
        observe=partner.mode is Mode.OBSERVE,
        strength=partner.tls,
        require=inbound.require.value,
        networks=tuple(map(_cidr, inbound.networks)),
        public_keys=tuple(map(canonical_pin, inbound.public_keys)),
        plaintext_until=exception_end(rules, Direction.INBOUND, Allow.PLAINTEXT),
        encrypted_until=exception_end(rules, Direction.INBOUND, Allow.ENCRYPTED),
    )


def _domain(domain: str) -> str:
    try:
        name = canonical_name(domain)
    except ValueError:
        name = ""
    if not name or name.startswith("."):
        raise ValueError(f"{domain!r} is not a canonical domain")
    return name


def _cidr(text: str) -> str:
    return str(ipaddress.ip_network(text))
