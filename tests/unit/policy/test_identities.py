"""Who a partner's mail must come from."""

from __future__ import annotations

import ipaddress
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.policy.delegation import Request
from tlsgate.policy.identities import (
    DUNNO,
    NOT_LISTED,
    BadIdentities,
    decide,
    load_identities,
    merge_networks,
)

PIN, OTHER = "ab" * 32, "cd" * 32


def entry(domain: str, **change: object) -> dict[str, object]:
    base: dict[str, object] = {
        "name": "Acme Motors AG",
        "domain": domain,
        "subdomains": False,
        "require": "certificate",
        "networks": [],
        "public_keys": [PIN],
    }
    return base | change


INDEX = load_identities(
    json.dumps(
        [
            entry("cert.example", subdomains=True),
            entry("own.cert.example", name="Own", public_keys=[OTHER]),
            entry("single.example"),
            entry(
                "net.example",
                name="Bücher\r\nAG",
                require="network",
                networks=["192.0.2.0/25", "192.0.2.128/25", "2001:db8::/48"],
                public_keys=[],
            ),
        ]
    )
)


def ask(domain: str | None, client: str = "192.0.2.9", tls: bool = True, key: str = "") -> str:
    return decide(INDEX, Request(domain, ipaddress.ip_address(client), tls, key)).action


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
        ("", "192.0.2.9", False, "", "450 4.7.1 This gateway requires TLS"),
        (None, "192.0.2.9", True, PIN, NOT_LISTED),
        ("example", "192.0.2.9", True, PIN, NOT_LISTED),
    ],
)
def test_verdicts(domain: str | None, client: str, tls: bool, key: str, action: str) -> None:
    got = ask(domain, client, tls, key)
    assert got == action if action in {DUNNO, NOT_LISTED} else got.startswith(action)


def test_an_unknown_client_is_not_in_a_network() -> None:
    assert decide(INDEX, Request("net.example", None, True, "")).action.startswith("450 ")


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("{}", "not a list"),
        ("[1]", "entry 0"),
        (json.dumps([entry("a.example"), entry("a.example")]), "domain twice"),
        (json.dumps([entry("a.example", require="tls")]), "require is 'tls'"),
        (json.dumps([entry("a.example", public_keys=[])]), "nothing is registered"),
        (json.dumps([entry("a.example", public_keys=["AB"])]), "64 hexadecimal"),
        (json.dumps([entry("a.example", subdomains="no")]), "subdomains"),
        (json.dumps([entry("a.example", require="network", networks=["10.0.0.1/8"])]), "entry 0"),
    ],
)
def test_a_bad_file_is_refused_with_its_entry(text: str, said: str) -> None:
    with pytest.raises(BadIdentities, match=re.escape(said)):
        load_identities(text)
