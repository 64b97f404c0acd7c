"""The verdict on a null sender: by whose mail host its client is, by TLS and by the clock."""

from __future__ import annotations

import ipaddress
from datetime import datetime

import pytest

from tests.unit.policy.partner_list import BEFORE, END, partner, rules, until_last_day
from tlsgate.partners.model import Allow, Direction, Inbound, Require
from tlsgate.policy.delegation import Request
from tlsgate.policy.identities import DUNNO
from tlsgate.policy.null_sender import NOT_KNOWN, decide_null_sender
from tlsgate.tls import Strength

RULES = rules(
    partner("acme.example", name="Acme Motors AG"),
    # What else a record demands needs a sender's domain.
    partner("cert.example", inbound=Inbound(Require.CERTIFICATE, public_keys=("ab" * 32,))),
    partner("late.example", until_last_day(Direction.INBOUND, Allow.PLAINTEXT)),
    partner("soft.example", until_last_day(Direction.INBOUND, Allow.ENCRYPTED)),
    partner("out.example", until_last_day(Direction.OUTBOUND, Allow.PLAINTEXT)),
    partner("older.example", tls=Strength.COMPATIBLE),
    partner("watched.example", observe=True),
).null_senders


def ask(
    owners: str,
    *,
    tls: bool,
    complete: bool = True,
    client: str = "192.0.2.1",
    now: datetime,
    suite: str = "TLS_AES_256_GCM_SHA384",
) -> str:
    found = [RULES[f"{name}.example"] for name in owners.split()]
    address = ipaddress.ip_address(client) if client else None
    version = "TLSv1.3" if suite.startswith("TLS_") else "TLSv1.2"
    protocol = version if tls else ""
    return decide_null_sender(
        found, Request("", address, protocol, "", cipher=suite), now, complete=complete
    ).action


@pytest.mark.parametrize(
    ("owners", "before", "after"),
    [
        ("", DUNNO, DUNNO),
        ("acme", "450 4.7.1 Acme Motors AG requires TLS", "450 4.7.1 Acme Motors AG requires TLS"),
        ("cert", "450 4.7.1 Cert requires TLS", "450 4.7.1 Cert requires TLS"),
        ("late", DUNNO, "450 4.7.1 Late requires TLS"),
        ("soft", "450 4.7.1 Soft requires TLS", "450 4.7.1 Soft requires TLS"),
        ("out", "450 4.7.1 Out requires TLS", "450 4.7.1 Out requires TLS"),
        # A server that several share: each must allow it.
        ("late acme", "450 4.7.1 Acme Motors AG requires TLS", "450 4.7.1 Late requires TLS"),
    ],
)
def test_in_plaintext(owners: str, before: str, after: str) -> None:
    assert ask(owners, tls=False, now=BEFORE) == before
    assert ask(owners, tls=False, now=END) == after


@pytest.mark.parametrize("owners", ["", "acme", "cert", "late acme"])
@pytest.mark.parametrize("complete", [True, False])
def test_under_tls(owners: str, complete: bool) -> None:
    assert ask(owners, tls=True, complete=complete, now=END) == DUNNO


@pytest.mark.parametrize(
    ("owners", "client", "complete"),
    [("", "192.0.2.1", False), ("late", "192.0.2.1", False), ("", "", True)],
)
def test_who_may_be_a_partner_is_not_let_by(owners: str, client: str, complete: bool) -> None:
    assert ask(owners, tls=False, client=client, complete=complete, now=BEFORE) == NOT_KNOWN


def test_observed_partners_are_not_asked_about() -> None:
    assert "watched.example" not in RULES
    assert len(RULES) == 6


@pytest.mark.parametrize(
    ("owners", "action"),
    [
        ("", DUNNO),
        (
            "acme",
            "450 4.7.1 Acme Motors AG requires TLS 1.2 with forward secrecy and AEAD, or TLS 1.3",
        ),
        ("older", DUNNO),
        ("older acme", "450 4.7.1 Acme Motors AG requires"),
        ("late", DUNNO),
    ],
)
def test_under_older_encryption(owners: str, action: str) -> None:
    """Port 25 offers it to all as soon as one record allows it."""
    assert ask(owners, tls=True, suite="ECDHE-RSA-AES256-SHA384", now=BEFORE).startswith(action)
