from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.render.partner_maps import PartnerMaps, compile_partners

DAY = date(2026, 10, 1)
ACME = Partner(
    name="Acme",
    contact="postmaster@acme.example",
    agreed=DAY,
    review=date(2027, 10, 1),
    mode=Mode.ENFORCE,
    domains=("acme.example",),
    subdomains=True,
    outbound=Outbound(),
    inbound=Inbound(),
)
PINS = ("ab" * 32, "0f" * 32)
PIN_TEXT = ":".join(["AB"] * 32) + "|" + ":".join(["0F"] * 32)


@pytest.mark.parametrize(
    ("outbound", "own", "below"),
    [
        (
            Outbound(),
            "secure match=acme.example:.acme.example",
            "secure match=nexthop:dot-nexthop",
        ),
        (
            Outbound(mx=(".mail.host.example", "mx.acme.example")),
            "secure match=.mail.host.example:mx.acme.example",
            "secure match=.mail.host.example:mx.acme.example",
        ),
        (Outbound(Verify.DANE), "dane-only", "dane-only"),
        (
            Outbound(Verify.PIN, public_keys=PINS),
            f"fingerprint match={PIN_TEXT}",
            f"fingerprint match={PIN_TEXT}",
        ),
    ],
)
def test_outbound(outbound: Outbound, own: str, below: str) -> None:
    partner = replace(ACME, outbound=outbound)
    assert dict(compile_partners([partner]).outbound) == {
        "acme.example": own,
        ".acme.example": below,
    }
    alone = replace(partner, subdomains=False)
    assert dict(compile_partners([alone]).outbound) == {"acme.example": own}


def test_inbound() -> None:
    network = Inbound(Require.NETWORK, networks=("192.0.2.0/24", "2001:db8::/32"))
    certificate = Inbound(Require.CERTIFICATE, public_keys=PINS)
    maps = compile_partners(
        [
            ACME,
            replace(ACME, name="Net", domains=("net.example",), inbound=network),
            replace(
                ACME,
                name="Cert",
                domains=("cert.example",),
                inbound=certificate,
                subdomains=False,
            ),
        ]
    )
    assert dict(maps.inbound) == {
        ".acme.example": "partner_tls",
        ".net.example": "partner_identity",
        "<>": "partner_null_sender",
        "acme.example": "partner_tls",
        "cert.example": "partner_identity",
        "net.example": "partner_identity",
    }
    assert maps.networks == (
        ("192.0.2.0/24", "reject_plaintext_session"),
        ("2001:db8::/32", "reject_plaintext_session"),
    )
    assert maps.asks_certificates
    assert json.loads(maps.identities_json()) == [
        {
            "domain": "cert.example",
            "name": "Cert",
            "networks": [],
            "public_keys": list(PINS),
            "require": "certificate",
            "subdomains": False,
        },
        {
            "domain": "net.example",
            "name": "Net",
            "networks": ["192.0.2.0/24", "2001:db8::/32"],
            "public_keys": [],
            "require": "network",
            "subdomains": True,
        },
    ]


def test_an_empty_list() -> None:
    assert compile_partners([]) == PartnerMaps((), (), (), ())
    assert not compile_partners([ACME]).asks_certificates


RULE = ExceptionRule(DAY, Direction.OUTBOUND, Allow.ENCRYPTED, "late", "security@corp.example")


@pytest.mark.parametrize(
    ("partner", "message"),
    [
        (replace(ACME, mode=Mode.OBSERVE), "observe"),
        (replace(ACME, exceptions=(RULE,)), "exceptions"),
        (replace(ACME, outbound=Outbound(Verify.PRIVATE_CA)), "private-ca"),
        (replace(ACME, outbound=Outbound(Verify.PIN)), "pin"),
        (replace(ACME, outbound=Outbound(Verify.PIN, public_keys=("AB",))), "SHA-256"),
        (replace(ACME, outbound=Outbound(mx=("hostname",))), "certificate"),
        (replace(ACME, outbound=Outbound(mx=("a.example\tmay",))), "certificate"),
        (replace(ACME, domains=("acme.example", "acme.example")), "two partner records"),
        (replace(ACME, domains=("acme.example\nevil.example",)), "canonical"),
        (replace(ACME, domains=(".acme.example",)), "canonical"),
        (replace(ACME, inbound=Inbound(networks=("192.0.2.1/24",))), "host bits"),
    ],
)
def test_what_cannot_be_enforced_is_refused(partner: Partner, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_partners([partner])


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
DOMAIN = st.builds("{}.{}.example".format, LABEL, LABEL)


@given(st.lists(DOMAIN, min_size=1, max_size=8, unique=True), st.booleans())
def test_every_entry_is_one_line_that_only_restricts(domains: list[str], below: bool) -> None:
    maps = compile_partners([replace(ACME, domains=tuple(domains), subdomains=below)])
    assert {key.lstrip(".") for key, _ in maps.outbound} == set(domains)
    assert [key for key, _ in maps.outbound] == sorted(key for key, _ in maps.inbound)
    for key, value in maps.outbound:
        assert not set("\n\t #") & set(key)
        assert value.startswith("secure match=")
    assert {value for _, value in maps.inbound} == {"partner_tls"}
