"""The resolver's configuration; that unbound accepts it is shown by the integration test."""

from __future__ import annotations

import re

import pytest

from tlsgate.render.unbound import ResolverSettings, render_unbound

ANCHOR = "example. 3600 IN DNSKEY 257 3 13 abc= ; the lab's key\n\n; a comment\n"
DS = "corp.example. IN DS 12345 13 2 00ff"


def test_public_resolver() -> None:
    text = render_unbound(ResolverSettings({}, "", ("172.29.54.0/24",)))
    assert "    access-control: 172.29.54.0/24 allow\n" in text
    assert 'trust-anchor-file: "/usr/share/dns/root.key"' in text
    assert "stub-zone:" not in text
    for setting in (
        'module-config: "validator iterator"',
        "val-permissive-mode: no",
        "harden-dnssec-stripped: yes",
        "qname-minimisation: yes",
        "serve-expired: no",
        "access-control: 0.0.0.0/0 refuse",
    ):
        assert f"    {setting}\n" in text


def test_own_zones_and_anchors() -> None:
    text = render_unbound(
        ResolverSettings(
            {"example.": ("172.29.53.53", "2001:db8::53@5353"), "corp.example": ("172.29.53.53",)},
            ANCHOR + DS,
            ("10.0.0.0/8", "2001:db8::/32"),
        )
    )
    assert '    trust-anchor: "example. 3600 IN DNSKEY 257 3 13 abc="\n' in text
    assert f'    trust-anchor: "{DS}"\n' in text
    assert (
        'stub-zone:\n    name: "example."\n    stub-addr: 172.29.53.53\n'
        "    stub-addr: 2001:db8::53@5353\n"
    ) in text
    assert text.count("stub-zone:") == 2
    assert "trust-anchor-file" in text


def test_an_own_root_replaces_the_public_one() -> None:
    assert "trust-anchor-file" not in render_unbound(
        ResolverSettings({".": ("192.0.2.1",)}, ". IN DS 1 13 2 00", ())
    )


@pytest.mark.parametrize(
    ("stubs", "anchors", "allow", "said"),
    [
        ({"exa mple": ("192.0.2.1",)}, "", (), "not a host name"),
        ({"example": ("ns.example",)}, "", (), "ns.example"),
        ({"example": ("192.0.2.1@0",)}, "", (), "address@port"),
        ({"example": ("192.0.2.1@x",)}, "", (), "address@port"),
        ({}, "example. IN A 192.0.2.1", (), "write a DS or DNSKEY"),
        ({}, 'example. IN DS 1 13 2 00"\n', (), "write a DS or DNSKEY"),
        ({}, "", ("10.0.0.1/8",), "10.0.0.1/8"),
    ],
)
def test_bad_settings_are_refused(
    stubs: dict[str, tuple[str, ...]], anchors: str, allow: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        render_unbound(ResolverSettings(stubs, anchors, allow))
