"""A record's `tls` in the compiled list: what it adds, and what it changes for the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.unit.partners.ca_certificates import ca_pem
from tests.unit.render.test_partner_maps import ACME, END, IN, MOMENT, OUT, PINS, rule
from tlsgate.partners.ca import parse_ca
from tlsgate.partners.model import Allow, Direction, Inbound, Mode, Outbound, Require, Verify
from tlsgate.render.outbound_policy import HELD
from tlsgate.render.partner_maps import compile_partners
from tlsgate.render.partner_rules import evidence_digest
from tlsgate.tls import Strength

OLDER = replace(ACME, name="Old", domains=("old.example",), tls=Strength.COMPATIBLE)


@pytest.mark.parametrize("mode", Mode)
def test_one_record_with_older_encryption_takes_the_others_to_the_helper(mode: Mode) -> None:
    network = Inbound(Require.NETWORK, networks=("192.0.2.0/24",))
    maps = compile_partners(
        [
            ACME,
            replace(OLDER, mode=mode, inbound=Inbound(networks=("203.0.113.0/25",))),
            replace(ACME, name="Net", domains=("net.example",), inbound=network, subdomains=False),
            replace(
                OLDER,
                name="Old Net",
                domains=("old-net.example",),
                inbound=network,
                subdomains=False,
            ),
            replace(
                ACME,
                name="Late",
                domains=("late.example",),
                subdomains=False,
                inbound=Inbound(networks=("203.0.113.128/25",)),
                exceptions=(rule(IN, Allow.PLAINTEXT),),
            ),
        ]
    )
    own = "partner_observed" if mode is Mode.OBSERVE else "partner_tls"
    assert maps.strength is Strength.COMPATIBLE
    assert dict(maps.inbound) == {
        ".acme.example": "partner_identity",
        ".old.example": own,
        "<>": "partner_null_sender",
        "acme.example": "partner_identity",
        "late.example": "partner_dated",
        "net.example": "partner_identity",
        "old-net.example": "partner_identity",
        "old.example": own,
    }
    assert dict(maps.networks) == {
        "192.0.2.0/24": "partner_identity",
        "203.0.113.0/25": own if mode is Mode.OBSERVE else "partner_identity",
        "203.0.113.128/25": "partner_dated",
    }
    strengths = {one.domain: one.strength for one in maps.rules.inbound}
    assert strengths["acme.example"] is strengths["net.example"] is Strength.STRONG
    assert strengths["old-net.example"] is Strength.COMPATIBLE


def test_without_such_a_record_nothing_changes() -> None:
    maps = compile_partners([ACME])
    assert maps.strength is Strength.STRONG
    assert maps.rules.inbound == ()
    alone = compile_partners([OLDER])
    senders = {key: value for key, value in alone.inbound if key != "<>"}
    assert set(senders.values()) == {"partner_tls"}


@pytest.mark.parametrize(
    "outbound",
    [
        Outbound(),
        Outbound(mx=("mx.acme.example",)),
        Outbound(Verify.DANE),
        Outbound(Verify.PIN, public_keys=PINS),
        Outbound(Verify.PRIVATE_CA, ca=parse_ca(ca_pem("CA", datetime(2036, 1, 1, tzinfo=UTC)))),
    ],
)
def test_older_encryption_changes_nothing_but_the_ciphers(outbound: Outbound) -> None:
    strong = replace(ACME, outbound=outbound, exceptions=(rule(OUT, Allow.ENCRYPTED),))
    older = replace(strong, tls=Strength.COMPATIBLE)
    for at in (END, END - MOMENT, datetime(2036, 1, 1, tzinfo=UTC)):
        wanted = {
            key: policy if policy == HELD else f"{policy} ciphers=medium"
            for key, policy in compile_partners([strong]).outbound_at(at).items()
        }
        assert compile_partners([older]).outbound_at(at) == wanted


def test_evidence_is_about_one_strength() -> None:
    for direction in Direction:
        other = replace(ACME, tls=Strength.COMPATIBLE)
        assert evidence_digest(ACME, direction) != evidence_digest(other, direction)
