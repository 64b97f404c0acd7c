"""The partner record as frozen values (docs/partners.md; partners/partner.schema.json).

A `Partner` is always valid: domains are lower-case A-labels, keys are SHA-256 hashes of an SPKI in
lower-case hex, networks are canonical CIDR blocks. Tuples of names, keys and networks are sets in
sorted order, so that two records with the same meaning are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from tlsgate.tls import Strength


class Mode(StrEnum):
    """Whether mail without the agreed proof is held, or only counted."""

    ENFORCE = "enforce"
    """Mail without the agreed proof waits (outbound) or is refused (inbound)."""
    OBSERVE = "observe"
    """Mail flows as if the partner were not listed; what `enforce` would do is counted."""


class Verify(StrEnum):
    """How the partner's server proves its identity when the gateway sends."""

    PKIX = "pkix"
    """A certificate of a public CA with the right name (RFC 5280, RFC 9525)."""
    DANE = "dane"
    """A key that its DNS names, signed with DNSSEC (RFC 7672)."""
    PRIVATE_CA = "private-ca"
    """A certificate of the partner's own CA with the right name."""
    PIN = "pin"
    """A key that the partner told us."""


class Require(StrEnum):
    """What a client must present to send mail from the partner's domains, besides TLS."""

    TLS = "tls"
    """Nothing more."""
    CERTIFICATE = "certificate"
    """A client certificate with one of the listed keys."""
    NETWORK = "network"
    """An address in one of the listed networks."""


class Direction(StrEnum):
    """Seen from the gateway."""

    OUTBOUND = "outbound"
    """From the gateway to the partner."""
    INBOUND = "inbound"
    """From the partner to the gateway."""


class Allow(StrEnum):
    """How far an exception goes."""

    ENCRYPTED = "encrypted"
    """TLS without authentication."""
    PLAINTEXT = "plaintext"
    """No TLS at all."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """How mail to the partner is protected."""

    verify: Verify = Verify.PKIX
    """What proves the partner's server."""
    mx: tuple[str, ...] = ()
    """Names accepted in the certificate; `.name` accepts any name below it. Empty: the domain."""
    public_keys: tuple[str, ...] = ()
    """The server's SPKI hashes; only with `pin`."""
    ca: str = ""
    """The certificates of the partner's own CA in canonical PEM; only with `private-ca`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form. `ca` is left out if there is none."""
        return {
            "verify": self.verify.value,
            "mx": list(self.mx),
            "public_keys": list(self.public_keys),
            **({"ca": self.ca} if self.ca else {}),
        }


@dataclass(frozen=True, slots=True)
class Inbound:
    """What is required of mail from the partner."""

    require: Require = Require.TLS
    """What a client must show."""
    public_keys: tuple[str, ...] = ()
    """The client certificates' SPKI hashes; only with `certificate`."""
    networks: tuple[str, ...] = ()
    """CIDR blocks that the partner sends from."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "require": self.require.value,
            "public_keys": list(self.public_keys),
            "networks": list(self.networks),
        }


@dataclass(frozen=True, slots=True)
class ExceptionRule:
    """A weaker rule that ends by itself."""

    until: date
    """Its last day, to the day's end in UTC."""
    direction: Direction
    """The one direction that it is for."""
    allow: Allow
    """What is enough until then."""
    reason: str
    """Why, and the ticket."""
    approved_by: str
    """The mail address of the person who approved it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "until": self.until.isoformat(),
            "direction": self.direction.value,
            "allow": self.allow.value,
            "reason": self.reason,
            "approved_by": self.approved_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One organisation, and how mail to and from it is protected."""

    name: str
    """As people know it."""
    contact: str
    """The mail address to write to when the partner's mail is held."""
    agreed: date
    """The day of the agreement."""
    review: date
    """The day by which it is to be confirmed again."""
    mode: Mode
    """Whether the rule is enforced, or only counted."""
    tls: Strength = Strength.STRONG
    """Which encryption is accepted, in both directions."""
    domains: tuple[str, ...]
    """The partner's mail domains."""
    subdomains: bool
    """Whether all names below the domains belong too."""
    outbound: Outbound
    """What the gateway demands when it sends."""
    inbound: Inbound
    """What the gateway demands when it receives."""
    exceptions: tuple[ExceptionRule, ...] = ()
    """Weaker rules, each with its last day."""
    file: str = ""
    """The path of the record's file; no part of the record itself."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: canonical, in the record's key order, without `file`."""
        return {
            "name": self.name,
            "contact": self.contact,
            "agreed": self.agreed.isoformat(),
            "review": self.review.isoformat(),
            "mode": self.mode.value,
            "tls": self.tls.value,
            "domains": list(self.domains),
            "subdomains": self.subdomains,
            "outbound": self.outbound.to_dict(),
            "inbound": self.inbound.to_dict(),
            "exceptions": [rule.to_dict() for rule in self.exceptions],
        }


def partner_from_dict(values: Mapping[str, Any]) -> Partner:
    """Return the partner that `to_dict` described. Nothing is checked.

    `tls` may be absent: a list that an older version delivered has no such key.
    """
    outbound, inbound = values["outbound"], values["inbound"]
    return Partner(
        name=values["name"],
        contact=values["contact"],
        agreed=date.fromisoformat(values["agreed"]),
        review=date.fromisoformat(values["review"]),
        mode=Mode(values["mode"]),
        tls=Strength(values.get("tls", Strength.STRONG)),
        domains=tuple(values["domains"]),
        subdomains=values["subdomains"],
        outbound=Outbound(
            Verify(outbound["verify"]),
            tuple(outbound["mx"]),
            tuple(outbound["public_keys"]),
            outbound.get("ca", ""),
        ),
        inbound=Inbound(
            Require(inbound["require"]), tuple(inbound["public_keys"]), tuple(inbound["networks"])
        ),
        exceptions=tuple(_exception_from_dict(rule) for rule in values["exceptions"]),
    )


def _exception_from_dict(values: Mapping[str, Any]) -> ExceptionRule:
    return ExceptionRule(
        until=date.fromisoformat(values["until"]),
        direction=Direction(values["direction"]),
        allow=Allow(values["allow"]),
        reason=values["reason"],
        approved_by=values["approved_by"],
    )
