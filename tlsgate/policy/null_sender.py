"""Which partner does a bounce come from? The verdict on the null sender (RFC 5321, section 4.5.5).

The null sender names no domain, so the client's address decides: whether it is a partner's MX host
(tlsgate.policy.address_book). Networks that a record names are in Postfix's own table. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from tlsgate.policy.delegation import Request
from tlsgate.policy.identities import (
    DUNNO,
    Identity,
    Verdict,
    merge_networks,
    read_time,
    verify,
)
from tlsgate.tls import Strength

NOT_KNOWN = "450 4.7.1 The partners' servers are not all known yet, use TLS or try again later"


def decide_null_sender(
    owners: Iterable[Identity], request: Request, now: datetime, *, complete: bool
) -> Verdict:
    """What the gateway does with the null sender of a client.

    `owners`: the partners whose MX host it is; each must allow what it does. `complete`: whether
    all partners' hosts are known; until then an unknown client may be one of them.
    """
    for owner in owners:
        verdict = verify(owner, request, now)
        if verdict.reason:
            return verdict
    if request.encrypted:
        return Verdict(DUNNO)
    if complete and request.client is not None:
        return Verdict(DUNNO)
    return Verdict(NOT_KNOWN, "", "no-addresses", "the client may be a partner's server")


def read_null_senders(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Identity]]:
    """Domain → what its servers must do. Raises KeyError, TypeError, ValueError."""
    nowhere = merge_networks(())
    for entry in entries:
        until = read_time(entry["plaintext_until"])
        if not isinstance(entry["domains"], list):
            raise TypeError("domains is not a list")
        for domain in entry["domains"]:
            name = domain.lower()
            yield (
                name,
                Identity(
                    partner=str(entry["partner"]),
                    domain=name,
                    subdomains=False,
                    observe=False,
                    strength=Strength(entry["strength"]),
                    require="tls",
                    networks=nowhere,
                    public_keys=frozenset(),
                    plaintext_until=until,
                ),
            )
