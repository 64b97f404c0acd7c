"""Which clients may send a partner's mail: the index of the inbound rules, and its verdicts.

Pure. A look-up costs a few dictionary look-ups (one a label of the sender's domain) and, for
networks, one binary search, however long the list is. Only the null sender in plaintext or under
old encryption, and that of observed partners, is looked for among all of the partners.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tlsgate.policy.delegation import Address, Request
from tlsgate.tls import Strength, allows, demand

DUNNO = "DUNNO"
"""Never OK: Postfix must still apply the restrictions that follow."""
NOT_LISTED = "450 4.3.0 The list of partners is being changed, please try again later"
NO_TLS = "no-tls"
WEAK_TLS = "weak-tls"
NO_KEY = "unregistered-key"
NO_NETWORK = "foreign-network"


@dataclass(frozen=True, slots=True)
class Networks:
    """CIDR blocks of one IP version each, merged, as sorted first and last addresses."""

    starts: dict[int, list[int]]
    ends: dict[int, list[int]]

    def __contains__(self, address: Address) -> bool:
        position = bisect_right(self.starts[address.version], int(address)) - 1
        return position >= 0 and int(address) <= self.ends[address.version][position]


@dataclass(frozen=True, slots=True)
class Identity:
    """One domain of one partner.

    `plaintext_until`, `encrypted_until`: up to when no TLS is needed, or TLS is enough.
    """

    partner: str
    domain: str
    subdomains: bool
    observe: bool
    strength: Strength
    require: str
    networks: Networks
    public_keys: frozenset[str]
    plaintext_until: datetime | None = None
    encrypted_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """An access(5) action; of a refusal the `code` is for programs, the `reason` for people."""

    action: str
    partner: str = ""
    code: str = ""
    reason: str = ""


class IdentityIndex:
    """Domain → identity, by longest match; and the partners that a client's network is of."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        self._by_domain = {identity.domain: identity for identity in identities}
        by_partner = {identity.partner: identity for identity in self._by_domain.values()}
        self._by_partner = list(by_partner.values())

    def __len__(self) -> int:
        return len(self._by_domain)

    def find(self, domain: str) -> tuple[Identity | None, bool]:
        """The identity that covers `domain`, and whether the list speaks of it at all.

        (None, True): a parent domain is listed without its subdomains: this is no partner's.
        """
        known = False
        name = domain
        while name:
            identity = self._by_domain.get(name)
            if identity is not None:
                if identity.subdomains or name == domain:
                    return identity, True
                known = True
            name = name.partition(".")[2]
        return None, known

    def at(self, client: Address | None, *, observe: bool) -> Iterator[Identity]:
        """Of each partner that is observed, or else enforced, in whose networks the client is."""
        if client is not None:
            for one in self._by_partner:
                if one.observe is observe and client in one.networks:
                    yield one


def decide(index: IdentityIndex, request: Request, now: datetime) -> Verdict:
    """What the gateway does with a sender whose domain the partner maps sent here."""
    domain = request.sender_domain
    if domain == "":
        return _null_sender(index, request, now)
    identity, known = index.find(domain) if domain else (None, False)
    if identity is not None and not identity.observe:
        return verify(identity, request, now)
    if identity is None and known:
        return Verdict(DUNNO)
    return Verdict(NOT_LISTED, "", "not-listed", "sender's domain is not listed")


def _null_sender(index: IdentityIndex, request: Request, now: datetime) -> Verdict:
    """It claims no domain, but from a partner's networks TLS is asked for.

    It must be strong enough for every partner whose network it is. Without TLS, each of them must
    allow plaintext, and there must be one.
    """
    if allows(Strength.STRONG, request.protocol, request.cipher):
        return Verdict(DUNNO)
    owners = list(index.at(request.client, observe=False))
    for owner in owners:
        fault = None if _before(now, owner.plaintext_until) else session_fault(owner, request)
        if fault is not None:
            return fault
    if owners or request.encrypted:
        return Verdict(DUNNO)
    return _no_tls("")


def verify(identity: Identity, request: Request, now: datetime) -> Verdict:
    """Is this client the partner that `identity` describes, as far as it must be now?"""
    if _before(now, identity.plaintext_until):
        return Verdict(DUNNO)
    fault = session_fault(identity, request)
    if fault is not None:
        return fault
    proved = {
        "tls": True,
        "certificate": request.public_key in identity.public_keys,
        "network": request.client is not None and request.client in identity.networks,
    }[identity.require]
    if proved or _before(now, identity.encrypted_until):
        return Verdict(DUNNO)
    if identity.require == "certificate":
        shown = f"client's key is {request.public_key}" if request.public_key else "no certificate"
        wanted = "a client certificate with a registered key"
        return _refused(identity.partner, wanted, NO_KEY, shown)
    wanted = "a client in its registered networks"
    return _refused(identity.partner, wanted, NO_NETWORK, f"client is {request.client}")


def session_fault(identity: Identity, request: Request) -> Verdict | None:
    """Whether the session itself is too weak, whoever the client is; None if it is not."""
    if not request.encrypted:
        return _no_tls(identity.partner)
    if allows(identity.strength, request.protocol, request.cipher):
        return None
    shown = f"session is {request.protocol} with {request.cipher}"
    return _refused(identity.partner, demand(identity.strength), WEAK_TLS, shown)


def _no_tls(partner: str) -> Verdict:
    return _refused(partner, "TLS", NO_TLS, "session is plaintext")


def _before(now: datetime, until: datetime | None) -> bool:
    return until is not None and now < until


def _refused(partner: str, wanted: str, code: str, reason: str) -> Verdict:
    name = re.sub(r"[^\x20-\x7e]", "?", partner)[:100] or "This gateway"
    return Verdict(f"450 4.7.1 {name} requires {wanted}", partner, code, reason)


def read_identities(entries: Iterable[dict[str, Any]]) -> Iterator[Identity]:
    """The identities of the inbound rules. Raises KeyError, TypeError, ValueError."""
    shared: dict[tuple[str, ...], Networks] = {}
    for entry in entries:
        cidrs = tuple(entry["networks"])
        if cidrs not in shared:
            shared[cidrs] = merge_networks(cidrs)
        yield _identity(entry, shared[cidrs])


def _identity(entry: dict[str, Any], networks: Networks) -> Identity:
    require, keys = entry["require"], frozenset(entry["public_keys"])
    if require not in {"tls", "certificate", "network"}:
        raise ValueError(f"require is {require!r}")
    if not all(re.fullmatch(r"[0-9a-f]{64}", key) for key in keys):
        raise ValueError("a public key is not 64 lower-case hexadecimal digits")
    registered = {"certificate": keys, "network": entry["networks"]}.get(require, True)
    if not registered:
        raise ValueError(f"require is {require!r}, but nothing is registered for it")
    for flag in ("subdomains", "observe"):
        if not isinstance(entry[flag], bool):
            raise TypeError(f"{flag} is not true or false")
    return Identity(
        partner=str(entry["partner"]),
        domain=entry["domain"].lower(),
        subdomains=entry["subdomains"],
        observe=entry["observe"],
        # A generation of an older version does not say it.
        strength=Strength(entry.get("strength", Strength.STRONG)),
        require=require,
        networks=networks,
        public_keys=keys,
        plaintext_until=read_time(entry["plaintext_until"]),
        encrypted_until=read_time(entry["encrypted_until"]),
    )


def read_time(text: str | None) -> datetime | None:
    """A time with its zone. Raises ValueError, TypeError."""
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time


def merge_networks(cidrs: Iterable[str]) -> Networks:
    """CIDR blocks as intervals that do not overlap. Raises ValueError."""
    blocks: dict[int, list[Any]] = {4: [], 6: []}
    for cidr in cidrs:
        network = ipaddress.ip_network(cidr)
        blocks[network.version].append(network)
    starts: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for version, networks in blocks.items():
        merged = list(ipaddress.collapse_addresses(networks))
        starts[version] = [int(network.network_address) for network in merged]
        ends[version] = [int(network.broadcast_address) for network in merged]
    return Networks(starts, ends)
