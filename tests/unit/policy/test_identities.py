"""Who a partner's mail must come from, and until when not."""

from __future__ import annotations

import ipaddress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.policy.partner_list import BEFORE, END, partner, rules, until_last_day
from tlsgate.partners.model import Allow, Direction, Inbound, Require
from tlsgate.policy.delegation import Request
from tlsgate.policy.identities import DUNNO, NOT_LISTED, decide, merge_networks

PIN, OTHER = "ab" * 32, "cd" * 32
CERTIFICATE = Inbound(Require.CERTIFICATE, public_keys=(PIN,))
NETWORK = Inbound(Require.NETWORK, networks=("192.0.2.0/25", "192.0.2.128/25", "2001:db8::/48"))
INBOUND = Direction.INBOUND
INDEX = rules(
    partner("cert.example", name="Acme Motors AG", inbound=CERTIFICATE, subdomains=True),
    partner("own.cert.example", inbound=Inbound(Require.CERTIFICATE, public_keys=(OTHER,))),
    partner("single.example", name="Single", inbound=CERTIFICATE),
    partner("net.example", name="Bücher\r\nAG", inbound=NETWORK),
    partner("watched.example", inbound=NETWORK, observe=True),
    partner(
        "late.example",
        until_last_day(INBOUND, Allow.ENCRYPTED),
        inbound=Inbound(Require.NETWORK, networks=("203.0.113.0/26",)),
    ),
    partner(
        "plain.example",
        until_last_day(INBOUND, Allow.PLAINTEXT),
        inbound=Inbound(Require.CERTIFICATE, (PIN,), ("203.0.113.0/24",)),
    ),
    partner(
        "plain2.example",
        until_last_day(INBOUND, Allow.PLAINTEXT, BEFORE.date().replace(day=20)),
        inbound=Inbound(networks=("203.0.113.128/25",)),
    ),
).identities


def ask(
    domain: str | None,
    client: str = "192.0.2.9",
    tls: bool = True,
    key: str = "",
    now: datetime = BEFORE,
) -> str:
    protocol = "TLSv1.3" if tls else ""
    return decide(INDEX, Request(domain, ipaddress.ip_address(client), protocol, key), now).action


@pytest.mark.parametrize(
    ("domain", "client", "tls", "key", "action"),
    [
        ("cert.example", "192.0.2.9", True, PIN, DUNNO),
        ("cert.example", "192.0.2.9", False, PIN, "450 4.7.1 Acme Motors AG requires TLS"),
        ("cert.example", "192.0.2.9", True, OTHER, "450 4.7.1 Acme Motors AG requires a client"),
        ("cert.example", "192.0.2.9", True, "", "450 4.7.1 Acme Motors AG requires a client"),
        ("a.b.cert.example", "192.0.2.9", True, PIN, DUNNO),
        ("a.b.cert.example", "192.0.2.9", True, OTHER, "450 4.7.1 "),
        ("own.cert.example", "192.0.2.9", True, OTHER, DUNNO),
        ("own.cert.example", "192.0.2.9", True, PIN, "450 4.7.1 Own requires"),
        ("notcert.example", "192.0.2.9", True, PIN, NOT_LISTED),
        ("sub.single.example", "192.0.2.9", False, "", DUNNO),
        ("net.example", "192.0.2.0", True, "", DUNNO),
        ("net.example", "192.0.2.255", True, "", DUNNO),
        ("net.example", "192.0.3.0", True, "", "450 4.7.1 B?cher??AG requires a client in its"),
        ("net.example", "192.0.1.255", True, PIN, "450 4.7.1 "),
        ("net.example", "192.0.2.9", False, "", "450 4.7.1 B?cher??AG requires TLS"),
        ("net.example", "2001:db8:0:ffff::1", True, "", DUNNO),
        ("net.example", "2001:db8:1::1", True, "", "450 4.7.1 "),
        ("", "192.0.2.9", True, "", DUNNO),
        ("", "192.0.2.9", False, "", "450 4.7.1 B?cher??AG requires TLS"),
        ("", "198.51.100.1", False, "", "450 4.7.1 This gateway requires TLS"),
        (None, "192.0.2.9", True, PIN, NOT_LISTED),
        ("example", "192.0.2.9", True, PIN, NOT_LISTED),
        # Never observed where Postfix enforces: the rules are not those that it has.
        ("watched.example", "192.0.2.9", True, "", NOT_LISTED),
    ],
)
def test_verdicts(domain: str | None, client: str, tls: bool, key: str, action: str) -> None:
    got = ask(domain, client, tls, key)
    assert got == action if action in {DUNNO, NOT_LISTED} else got.startswith(action)


@pytest.mark.parametrize(
    ("domain", "client", "tls", "before", "after"),
    [
        ("late.example", "198.51.100.1", True, DUNNO, "450 4.7.1 Late requires a client in its"),
        ("late.example", "203.0.113.1", True, DUNNO, DUNNO),
        ("late.example", "203.0.113.1", False, "450 4.7.1 Late requires TLS", "450 4.7.1 Late"),
        ("plain.example", "198.51.100.1", False, DUNNO, "450 4.7.1 Plain requires TLS"),
        ("plain.example", "198.51.100.1", True, DUNNO, "450 4.7.1 Plain requires a client cert"),
        # The null sender: each partner whose network it is must allow it.
        ("", "203.0.113.1", False, "450 4.7.1 Late requires TLS", "450 4.7.1 Late requires TLS"),
        ("", "203.0.113.65", False, DUNNO, "450 4.7.1 Plain requires TLS"),
        ("", "203.0.113.200", False, "450 4.7.1 Plain", "450 4.7.1 Plain"),
        ("", "203.0.113.200", True, DUNNO, DUNNO),
    ],
)
def test_an_exception_ends_by_the_clock(
    domain: str, client: str, tls: bool, before: str, after: str
) -> None:
    assert ask(domain, client, tls).startswith(before)
    assert ask(domain, client, tls, now=END).startswith(after)


def test_an_unknown_client_is_not_in_a_network() -> None:
    request = Request("net.example", None, "TLSv1.3", "")
    assert decide(INDEX, request, BEFORE).action.startswith("450 ")
    null = Request("", None, "", "")
    assert decide(INDEX, null, BEFORE).action.startswith("450 ")


blocks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
        lambda p: ipaddress.ip_network((p[0], p[1]), strict=False)
    ),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
        lambda p: ipaddress.ip_network((p[0], p[1]), strict=False)
    ),
)


@given(st.lists(blocks, max_size=8), st.data())
def test_merged_networks_hold_what_the_blocks_hold(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], data: st.DataObject
) -> None:
    edges = [
        type(n.network_address)(max(0, min(int(edge) + step, 2**n.max_prefixlen - 1)))
        for n in networks
        for edge in (n.network_address, n.broadcast_address)
        for step in (-1, 0, 1)
    ]
    address = data.draw(st.sampled_from(edges) if edges else st.just(ipaddress.ip_address("::1")))
    expected = any(address in n for n in networks if n.version == address.version)
    assert (address in merge_networks(str(n) for n in networks)) == expected
