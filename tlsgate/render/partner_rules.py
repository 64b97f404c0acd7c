"""What the policy helper must know of the partners: the file `partner_rules.json` (D16, D17).

Postfix's own tables say what holds for ever and for a whole domain. The rest is asked of the
helper, which has it from this file: rules that end with a date, clients' networks and keys, what
is only observed, from whose servers the null sender needs TLS, and the policies of subdomains. The
latter because Postfix asks all of its tables for a name before it asks any for the `.parent` of the
name (TLS_README): without the helper's answer a subdomain's own MTA-STS policy would override the
partner's.

Postfix names the digest of the file that belongs to its configuration in each question, so that
it is never answered from the rules of another generation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from tlsgate.partners.model import Direction, Partner
from tlsgate.policy.contract import digest_of
from tlsgate.render.outbound_policy import Timeline
from tlsgate.tls import Strength


@dataclass(frozen=True, slots=True)
class OutboundRule:
    """The policy of one key, `acme.example` or `.acme.example`."""

    key: str
    partner: str
    observe: bool
    timeline: Timeline

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; times in ISO 8601."""
        return {
            "key": self.key,
            "partner": self.partner,
            "observe": self.observe,
            "periods": [[one.until.isoformat(), one.policy] for one in self.timeline.periods],
            "then": self.timeline.then,
        }


@dataclass(frozen=True, slots=True)
class InboundRule:
    """What a client must show that sends in the name of one domain.

    `public_keys`: SHA-256 of the SPKI. `plaintext_until`, `encrypted_until`: up to when no TLS is
    needed, or TLS is enough; None if never.
    """

    partner: str
    domain: str
    subdomains: bool
    observe: bool
    strength: Strength
    require: str
    networks: tuple[str, ...]
    public_keys: tuple[str, ...]
    plaintext_until: datetime | None
    encrypted_until: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; times in ISO 8601."""
        return {
            "partner": self.partner,
            "domain": self.domain,
            "subdomains": self.subdomains,
            "observe": self.observe,
            "strength": self.strength.value,
            "require": self.require,
            "networks": list(self.networks),
            "public_keys": list(self.public_keys),
            "plaintext_until": _text(self.plaintext_until),
            "encrypted_until": _text(self.encrypted_until),
        }


@dataclass(frozen=True, slots=True)
class NullSenderRule:
    """An enforced partner, from whose servers the null sender needs TLS.

    `domains`: whose MX hosts are the servers. `strength`: of the session. `plaintext_until`: no
    TLS is needed before then.
    """

    partner: str
    domains: tuple[str, ...]
    strength: Strength
    plaintext_until: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the time in ISO 8601."""
        return {
            "partner": self.partner,
            "domains": list(self.domains),
            "strength": self.strength.value,
            "plaintext_until": _text(self.plaintext_until),
        }


@dataclass(frozen=True, slots=True)
class Observed:
    """A partner that is only observed, and which rules the evidence is about."""

    partner: str
    outbound: str
    inbound: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"partner": self.partner, "outbound": self.outbound, "inbound": self.inbound}


@dataclass(frozen=True)
class PartnerRules:
    """The whole file; sorted. Its text and digest are made once: a long list takes a second."""

    outbound: tuple[OutboundRule, ...] = ()
    inbound: tuple[InboundRule, ...] = ()
    observed: tuple[Observed, ...] = ()
    null_senders: tuple[NullSenderRule, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "outbound": [rule.to_dict() for rule in self.outbound],
            "inbound": [rule.to_dict() for rule in self.inbound],
            "observed": [one.to_dict() for one in self.observed],
            "null_senders": [rule.to_dict() for rule in self.null_senders],
        }

    def to_json(self) -> str:
        """The content of the file, one rule a line."""
        return self._text

    @cached_property
    def _text(self) -> str:
        parts = (f'"{name}": [{_lines(rules)}]' for name, rules in self.to_dict().items())
        return "{" + ",\n".join(parts) + "}\n"

    @cached_property
    def digest(self) -> str:
        """Of the file's content: 16 hexadecimal digits."""
        return digest_of(self.to_json().encode("ascii"))

    @property
    def answers_outbound(self) -> bool:
        """Whether the helper answers for any destination."""
        return any(not rule.observe for rule in self.outbound)


def observed(partner: Partner) -> Observed:
    """The partner's rules by their digests: evidence of one says nothing about another."""
    return Observed(
        partner.name,
        evidence_digest(partner, Direction.OUTBOUND),
        evidence_digest(partner, Direction.INBOUND),
    )


def evidence_digest(partner: Partner, direction: Direction) -> str:
    """The digest of what a partner's record demands in one direction: 16 hexadecimal digits."""
    values = partner.to_dict()
    demand = [
        values["domains"],
        values["subdomains"],
        values["tls"],
        values[direction.value],
        [rule for rule in values["exceptions"] if rule["direction"] == direction.value],
    ]
    text = json.dumps(demand, sort_keys=True, separators=(",", ":"))
    return digest_of(text.encode("ascii"))


def _lines(rules: Iterable[dict[str, Any]]) -> str:
    return ",".join(f"\n{json.dumps(rule, sort_keys=True)}" for rule in rules)


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
