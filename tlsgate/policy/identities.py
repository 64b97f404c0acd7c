"""Who a partner's mail must come from: the index over `identities.json` and its verdicts.

Pure. A look-up costs a few dictionary look-ups (one a label of the sender's domain) and, for
networks, one binary search, however long the list is.
"""

from __future__ import annotations

import ipaddress
import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tlsgate.policy.delegation import Address, Request

DUNNO = "DUNNO"
"""Never OK: the restrictions that follow must still be asked."""
NO_LIST = "451 4.3.0 The list of partners is not available, please try again later"
NOT_LISTED = "450 4.3.0 The list of partners is being changed, please try again later"


class BadIdentities(ValueError):
    """The file is not what the gateway's generation should hold."""


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
    """One domain of one partner."""

    name: str
    domain: str
    subdomains: bool
    require: str
    networks: Networks
    public_keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An access(5) action; `reason` is empty if the client may pass."""

    action: str
    partner: str = ""
    reason: str = ""


class IdentityIndex:
    """Domain → identity, by longest match."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        self._by_domain = {identity.domain: identity for identity in identities}

    def __len__(self) -> int:
        return len(self._by_domain)

    def find(self, domain: str) -> tuple[Identity | None, bool]:
        """The identity that covers `domain`, and whether the list speaks of it at all.

        (None, True): a parent domain is listed without its subdomains, so this one is nobody's.
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


def decide(index: IdentityIndex, request: Request) -> Verdict:
    """What the gateway does with a sender whose domain the partner maps sent here."""
    domain = request.sender_domain
    if domain == "":
        # The null sender of a partner's network: it claims no domain, but TLS is asked for.
        return Verdict(DUNNO) if request.encrypted else _refused("", "TLS", "session is plaintext")
    identity, known = index.find(domain) if domain else (None, False)
    if identity is not None:
        return _verify(identity, request)
    return Verdict(DUNNO) if known else Verdict(NOT_LISTED, "", "sender's domain is not listed")


def _verify(identity: Identity, request: Request) -> Verdict:
    """Is this client the partner that `identity` describes?"""
    if not request.encrypted:
        return _refused(identity.name, "TLS", "session is plaintext")
    if identity.require == "certificate":
        if request.public_key in identity.public_keys:
            return Verdict(DUNNO)
        shown = f"client's key is {request.public_key}" if request.public_key else "no certificate"
        return _refused(identity.name, "a client certificate with a registered key", shown)
    if request.client is not None and request.client in identity.networks:
        return Verdict(DUNNO)
    return _refused(
        identity.name, "a client in its registered networks", f"client is {request.client}"
    )


def _refused(partner: str, wanted: str, reason: str) -> Verdict:
    name = re.sub(r"[^\x20-\x7e]", "?", partner)[:100] or "This gateway"
    return Verdict(f"450 4.7.1 {name} requires {wanted}", partner, reason)


def load_identities(text: str) -> IdentityIndex:
    """The index of an `identities.json`. Raises BadIdentities, naming the entry at fault."""
    try:
        entries = json.loads(text)
    except ValueError as fault:
        raise BadIdentities(f"identities.json is not JSON: {fault}") from fault
    if not isinstance(entries, list):
        raise BadIdentities("identities.json is not a list")
    shared: dict[tuple[str, ...], Networks] = {}
    identities = []
    for number, entry in enumerate(entries):
        try:
            identities.append(_identity(entry, shared))
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise BadIdentities(f"identities.json, entry {number}: {fault!r}") from fault
    index = IdentityIndex(identities)
    if len(index) != len(identities):
        raise BadIdentities("identities.json names a domain twice")
    return index


def _identity(entry: dict[str, Any], shared: dict[tuple[str, ...], Networks]) -> Identity:
    require, cidrs = entry["require"], tuple(entry["networks"])
    if require not in {"certificate", "network"}:
        raise ValueError(f"require is {require!r}")
    keys = frozenset(key.lower() for key in entry["public_keys"])
    if not all(re.fullmatch(r"[0-9a-f]{64}", key) for key in keys):
        raise ValueError("a public key is not 64 hexadecimal digits")
    if not (keys if require == "certificate" else cidrs):
        raise ValueError(f"require is {require!r}, but nothing is registered for it")
    if not isinstance(entry["subdomains"], bool):
        raise TypeError("subdomains is not true or false")
    if cidrs not in shared:
        shared[cidrs] = merge_networks(cidrs)
    return Identity(
        name=str(entry["name"]),
        domain=entry["domain"].lower(),
        subdomains=entry["subdomains"],
        require=require,
        networks=shared[cidrs],
        public_keys=keys,
    )


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
