"""Where no weakening is found, nothing gets through that did not get through before.

The reference is another implementation: it tries every peer with every name on every day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from ipaddress import ip_address, ip_network
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.partners.test_partner_weakening import ACME, K1, K2, until
from tlsgate.partners.diff import diff_lists, weakenings
from tlsgate.partners.model import (
    Allow,
    Direction,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.tls import Strength, allows

LISTED = ("acme.example", "parts.acme.example", "beta.example")
NAMES = (*LISTED, "x.acme.example", "x.parts.acme.example", "x.beta.example")
CERTIFIED = (*NAMES, "mx.x.acme.example", "mx.evil.example")
SERVERS = [
    *(("public CA", name) for name in CERTIFIED),
    *(("private CA", name) for name in CERTIFIED),
    *(("DANE", ""), ("key", K1), ("key", K2), ("anyone", ""), ("plaintext", "")),
]
CLIENTS = [
    (shown, address)
    for shown in (K1, K2, "TLS", "plaintext")
    for address in ("192.0.2.1", "192.0.2.9", "198.51.100.1")
]
SESSIONS = (("TLSv1.3", "any"), ("TLSv1.2", "ECDHE-RSA-AES128-SHA256"), ("TLSv1.2", "AES128-SHA"))
DAYS = tuple(date(2026, 12, day) for day in range(1, 5))


def find(partners: Sequence[Partner], name: str) -> Partner | None:
    """The record whose domain is nearest to the name."""
    for partner in partners:
        if name in partner.domains:
            return partner
    _, _, parent = name.partition(".")
    while parent:
        for partner in partners:
            if partner.subdomains and parent in partner.domains:
                return partner
        _, _, parent = parent.partition(".")
    return None


def excepted(partner: Partner, direction: Direction, day: date, plaintext: bool) -> bool:
    return any(
        rule.direction is direction
        and rule.until >= day
        and (rule.allow is Allow.PLAINTEXT or not plaintext)
        for rule in partner.exceptions
    )


def proved(outbound: Outbound, name: str, server: tuple[str, str]) -> bool:
    how, shown = server
    accepted = outbound.mx or (name, f".{name}")
    named = any(shown == one or (one[0] == "." and shown.endswith(one)) for one in accepted)
    return {
        Verify.PKIX: how == "public CA" and named,
        Verify.PRIVATE_CA: how == "private CA" and named,
        Verify.DANE: how == "DANE",
        Verify.PIN: how == "key" and shown in outbound.public_keys,
    }[outbound.verify]


def shown_enough(inbound: Inbound, client: tuple[str, str]) -> bool:
    shown, address = client
    if shown == "plaintext":
        return False
    inside = any(ip_address(address) in ip_network(block) for block in inbound.networks)
    return {
        Require.TLS: True,
        Require.CERTIFICATE: shown in inbound.public_keys,
        Require.NETWORK: inside,
    }[inbound.require]


def let_through(partners: Sequence[Partner]) -> Iterator[tuple[object, ...]]:
    for name in NAMES:
        partner = find(partners, name)
        free = partner is None or partner.mode is Mode.OBSERVE
        for day in DAYS:
            for server in SERVERS:
                plain = server[0] == "plaintext"
                if (
                    partner is None
                    or free
                    or proved(partner.outbound, name, server)
                    or excepted(partner, Direction.OUTBOUND, day, plain)
                ):
                    yield name, day, server
            for session in SESSIONS:
                if partner is None or free or allows(partner.tls, *session):
                    yield name, day, session
            for client in CLIENTS:
                plain = client[0] == "plaintext"
                if (
                    partner is None
                    or free
                    or shown_enough(partner.inbound, client)
                    or excepted(partner, Direction.INBOUND, day, plain)
                ):
                    yield name, day, client


def some(items: Sequence[str], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    sizes = range(least, len(items) + 1)
    return st.sampled_from([one for size in sizes for one in combinations(items, size)])


patterns = some(("acme.example", ".acme.example", ".parts.acme.example", "mx.evil.example"))
blocks = ("192.0.2.0/29", "192.0.2.8/29", "192.0.2.0/28")
outbounds = (
    st.builds(Outbound, st.sampled_from([Verify.PKIX, Verify.PRIVATE_CA]), patterns)
    | st.just(Outbound(Verify.DANE))
    | st.builds(Outbound, st.just(Verify.PIN), st.just(()), some((K1, K2), 1))
)
inbounds = (
    st.builds(Inbound, st.just(Require.TLS), st.just(()), some(blocks))
    | st.builds(Inbound, st.just(Require.CERTIFICATE), some((K1, K2), 1))
    | st.builds(Inbound, st.just(Require.NETWORK), st.just(()), some(blocks, 1))
)
exceptions = st.lists(
    st.builds(
        until,
        st.integers(1, 3),
        st.sampled_from(["encrypted", "plaintext"]),
        st.sampled_from(["outbound", "inbound"]),
    ),
    max_size=2,
).map(tuple)
records = st.builds(
    replace,
    st.just(ACME),
    mode=st.sampled_from(Mode),
    tls=st.sampled_from(Strength),
    domains=some(LISTED, 1),
    subdomains=st.booleans(),
    outbound=outbounds,
    inbound=inbounds,
    exceptions=exceptions,
)


def valid(partners: list[Partner]) -> list[Partner]:
    """The partners that do not conflict with one before them, as in a valid list."""
    kept: list[Partner] = []
    for partner in partners:
        others = [domain for one in kept for domain in one.domains]
        free = [domain for domain in partner.domains if domain not in others]
        overlap = any(
            (low in free and one.subdomains and high in one.domains)
            or (high in free and partner.subdomains and low in others)
            for one in kept
            for low, high in [("parts.acme.example", "acme.example")]
        )
        if free and not overlap:
            kept.append(replace(partner, name=f"P{len(kept)}", domains=tuple(free)))
    return kept


lists = st.lists(records, max_size=3).map(valid)


@st.composite
def changes(draw: st.DrawFn) -> tuple[list[Partner], list[Partner]]:
    """A list and another one that shares much with it: otherwise hardly any is as strict."""
    old = draw(st.lists(records, min_size=1, max_size=2).map(valid))
    parts = st.sampled_from(
        ["mode", "tls", "domains", "subdomains", "outbound", "inbound", "exceptions", "name"]
    )
    new = []
    for partner in old:
        other, changed = draw(records), draw(st.sets(parts, min_size=1, max_size=2))
        new.append(replace(partner, **{part: getattr(other, part) for part in changed}))
    return old, valid(draw(st.permutations(new)))


@settings(max_examples=500, deadline=None)
@given(changes() | changes() | st.tuples(lists, lists))
def test_without_a_weakening_nothing_more_gets_through(
    change: tuple[list[Partner], list[Partner]],
) -> None:
    old, new = change
    before, after = set(let_through(old)), set(let_through(new))
    if not weakenings(old, new):
        assert after <= before
    if not diff_lists(old, new).domains:
        assert after == before
