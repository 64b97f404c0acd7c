"""The partner list as Postfix reads it: both directions of one record (design decision D7).

Outbound: entries of `smtp_tls_policy_maps` (postconf(5), TLS_README). The table is asked for the
next-hop domain and then for `.parent` keys, so a partner with subdomains has two entries.

| verify | entry of `acme.example`                          | entry of `.acme.example`          |
| ------ | ------------------------------------------------ | --------------------------------- |
| pkix   | `secure match=acme.example:.acme.example`        | `secure match=nexthop:dot-nexthop`|
| + mx   | `secure match=` the names of `mx`                | the same                          |
| dane   | `dane-only`                                      | the same                          |
| pin    | `fingerprint match=` SHA-256 of the public keys  | the same                          |

Mail to parts.acme.example is not satisfied by a certificate for acme.example or its other hosts:
a host that somebody runs for one subdomain could read the mail of all others. A partner whose
subdomains share the servers of the parent writes `mx: [.acme.example]`.

Inbound: entries of `check_sender_access`. Each value is the name of a restriction class that
can refuse and never permit, so no entry opens the relay. With `parent_domain_matches_subdomains`
empty, `acme.example` means that domain alone and `.acme.example` all below it (access(5)).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tlsgate.partners.model import Mode, Partner, Require, Verify

CLASS_TLS = "partner_tls"
"""Restriction class: the session is encrypted."""
CLASS_IDENTITY = "partner_identity"
"""Restriction class: encrypted, and the policy helper knows the client (D16)."""
CLASS_NULL_SENDER = "partner_null_sender"
"""Restriction class: encrypted if the client is in a partner's network."""
NULL_SENDER = "<>"
"""`smtpd_null_access_lookup_key`."""

_NAME = re.compile(r"\.?([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_PIN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What the policy helper must know of one domain; `public_keys` are SHA-256 of the SPKI."""

    name: str
    domain: str
    subdomains: bool
    require: str
    networks: tuple[str, ...]
    public_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartnerMaps:
    """The compiled list; every table is sorted by its key.

    `outbound`: TLS policy table. `inbound`: sender access table. `networks`: CIDR block →
    restriction for the null sender. `identities`: for the policy helper.
    """

    outbound: tuple[tuple[str, str], ...]
    inbound: tuple[tuple[str, str], ...]
    networks: tuple[tuple[str, str], ...]
    identities: tuple[Identity, ...]

    @property
    def asks_certificates(self) -> bool:
        """Whether a partner must show a client certificate."""
        return any(identity.require == Require.CERTIFICATE for identity in self.identities)

    def identities_json(self) -> str:
        """The content of identities.json."""
        entries = [asdict(identity) for identity in self.identities]
        return json.dumps(entries, indent=0, sort_keys=True) + "\n"


def compile_partners(partners: Sequence[Partner]) -> PartnerMaps:
    """Both directions of the whole list.

    Raises ValueError for a record that says what these tables cannot enforce: nothing is ever
    accepted and ignored.
    """
    outbound: dict[str, str] = {}
    inbound: dict[str, str] = {}
    identities: list[Identity] = []
    networks: set[str] = set()
    for partner in partners:
        _require_enforceable(partner)
        networks.update(map(_cidr, partner.inbound.networks))
        for domain in map(_domain, partner.domains):
            keys = (domain, f".{domain}") if partner.subdomains else (domain,)
            for key in keys:
                if key in outbound:
                    raise ValueError(f"{key} is in two partner records, {partner.name} is one")
                outbound[key] = _policy(partner, key)
                inbound[key] = _restriction(partner)
            if partner.inbound.require is not Require.TLS:
                identities.append(_identity(partner, domain))
    if networks:
        inbound[NULL_SENDER] = CLASS_NULL_SENDER
    return PartnerMaps(
        outbound=tuple(sorted(outbound.items())),
        inbound=tuple(sorted(inbound.items())),
        networks=tuple((cidr, "reject_plaintext_session") for cidr in sorted(networks)),
        identities=tuple(sorted(identities, key=lambda identity: identity.domain)),
    )


def _require_enforceable(partner: Partner) -> None:
    if partner.mode is not Mode.ENFORCE:
        raise ValueError(f"{partner.name}: mode {partner.mode} is not supported yet")
    if partner.exceptions:
        raise ValueError(f"{partner.name}: exceptions are not supported yet")


def _policy(partner: Partner, key: str) -> str:
    outbound = partner.outbound
    match outbound.verify:
        case Verify.PKIX if outbound.mx:
            return f"secure match={':'.join(map(_certificate_name, outbound.mx))}"
        case Verify.PKIX if key.startswith("."):
            return "secure match=nexthop:dot-nexthop"
        case Verify.PKIX:
            return f"secure match={key}:.{key}"
        case Verify.DANE:
            return "dane-only"
        case Verify.PIN if outbound.public_keys:
            return f"fingerprint match={'|'.join(map(_fingerprint, outbound.public_keys))}"
        case _:
            raise ValueError(f"{partner.name}: verify {outbound.verify} cannot be enforced")


def _restriction(partner: Partner) -> str:
    return CLASS_TLS if partner.inbound.require is Require.TLS else CLASS_IDENTITY


def _identity(partner: Partner, domain: str) -> Identity:
    inbound = partner.inbound
    return Identity(
        name=partner.name,
        domain=domain,
        subdomains=partner.subdomains,
        require=str(inbound.require),
        networks=tuple(map(_cidr, inbound.networks)),
        public_keys=tuple(map(_pin, inbound.public_keys)),
    )


def _domain(domain: str) -> str:
    if domain.startswith(".") or not _NAME.fullmatch(domain):
        raise ValueError(f"{domain!r} is not a canonical domain")
    return domain


def _certificate_name(name: str) -> str:
    # `nexthop`, `dot-nexthop` and `hostname` are words of the table, and have no dot inside.
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name that a certificate can hold")
    return name


def _pin(digest: str) -> str:
    if not _PIN.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a SHA-256 digest in lower-case hexadecimal")
    return digest


def _fingerprint(digest: str) -> str:
    """A digest as Postfix prints it: AA:BB:…"""
    digits = _pin(digest).upper()
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


def _cidr(text: str) -> str:
    return str(ipaddress.ip_network(text))
