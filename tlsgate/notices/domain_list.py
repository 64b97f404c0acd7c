"""Which domains are our own and which are partners': the file `notice_domains.json`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DOMAIN_LIST = "notice_domains.json"


class BadList(ValueError):
    """The file is not what the gateway's generation should hold."""


@dataclass(frozen=True, slots=True)
class PartnerDomain:
    """One domain of a partner record. `enforced`: not only observed."""

    partner: str
    subdomains: bool
    enforced: bool


@dataclass(frozen=True, slots=True)
class DomainList:
    """The own domains, and the partners' domains; all of them lower-case A-labels.

    `aliases`: addresses that Postfix replaces after the milter has seen them (postmaster@ and
    their like), and with what; in lower case.
    """

    own: frozenset[str]
    partners: Mapping[str, PartnerDomain]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def receiver(self, address: str) -> str | None:
        """The domain that mail to an address goes to; None for an address without a domain."""
        plain, seen = address.strip().removeprefix("<").removesuffix(">").lower(), set[str]()
        while plain in self.aliases and plain not in seen:  # Postfix follows them, too
            seen.add(plain)
            plain = self.aliases[plain]
        return domain_of(plain)

    def entry(self, domain: str) -> PartnerDomain | None:
        """The record that holds for a domain: its own, else the nearest parent's."""
        if domain in self.partners:
            return self.partners[domain]
        parent = domain.partition(".")[2]
        while parent:
            found = self.partners.get(parent)
            if found and found.subdomains:
                return found
            parent = parent.partition(".")[2]
        return None

    def to_json(self) -> str:
        """The content of the file, one domain a line."""
        rows = (
            f"{json.dumps(domain)}: "
            + json.dumps([entry.partner, entry.subdomains, entry.enforced])
            for domain, entry in sorted(self.partners.items())
        )
        own, aliases = json.dumps(sorted(self.own)), json.dumps(self.aliases, sort_keys=True)
        head = f'{{"own": {own},\n"aliases": {aliases},\n"partners": {{\n'
        return head + ",\n".join(rows) + "\n}}\n"


def read_domain_list(content: bytes) -> DomainList:
    """The inverse of `DomainList.to_json`. Raises BadList."""
    try:
        values = json.loads(content)
        own = frozenset(map(_name, values["own"]))
        partners = {_name(key): _entry(*row) for key, row in values["partners"].items()}
        aliases = {_name(key): _name(one) for key, one in values["aliases"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BadList(f"{DOMAIN_LIST} cannot be read: {fault!r}") from fault
    if not own:
        raise BadList(f"{DOMAIN_LIST} names no own domain")
    return DomainList(own, partners, aliases)


def domain_of(address: str) -> str | None:
    """The domain of a mail address, with or without angle brackets; None if it has none."""
    text = address.strip().removeprefix("<").removesuffix(">")
    if "@" not in text:
        return None
    try:
        # The list holds A-labels; an address may come with U-labels (RFC 6531).
        domain = text.rpartition("@")[2].removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return domain or None


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value or value != value.lower():
        raise ValueError(f"{value!r} is not a lower-case string")
    return value


def _entry(partner: Any, subdomains: Any, enforced: Any) -> PartnerDomain:
    if not (isinstance(partner, str) and isinstance(subdomains, bool)):
        raise TypeError(f"the entry of {partner!r} must be a name and two booleans")
    if not isinstance(enforced, bool):
        raise TypeError(f"the entry of {partner!r} must be a name and two booleans")
    return PartnerDomain(partner, subdomains, enforced)
