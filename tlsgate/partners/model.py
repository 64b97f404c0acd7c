"""The partner record (DESIGN §4) as frozen values.

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
    OBSERVE = "observe"


class Verify(StrEnum):
    """How the partner's server proves its identity when the gateway sends."""

    PKIX = "pkix"
    DANE = "dane"
    PRIVATE_CA = "private-ca"
    PIN = "pin"


class Require(StrEnum):
    """What a client must present to send mail from the partner's domains, besides TLS."""

    TLS = "tls"
    CERTIFICATE = "certificate"
    NETWORK = "network"


class Direction(StrEnum):
    """Seen from the gateway."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Allow(StrEnum):
    """How far an exception goes: TLS without authentication, or no TLS at all."""

    ENCRYPTED = "encrypted"
    PLAINTEXT = "plaintext"


@dataclass(frozen=True, slots=True)
class Outbound:
    """How mail to the partner is protected."""

    verify: Verify = Verify.PKIX
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
    """A weaker rule that ends by itself. `until` is its last day, to the end of that day in UTC."""

    until: date
    direction: Direction
    allow: Allow
    reason: str
    approved_by: str

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
    contact: str
    agreed: date
    review: date
    mode: Mode
    tls: Strength = Strength.STRONG
    """Which encryption is accepted, in both directions."""
    domains: tuple[str, ...]
    subdomains: bool
    outbound: Outbound
    inbound: Inbound
    exceptions: tuple[ExceptionRule, ...] = ()
    file: str = ""
    """The file that contains the record; not a part of the record itself."""

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
