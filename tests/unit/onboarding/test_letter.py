"""The letter: each kind of record in words that a postmaster can act on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.dns.fake_dns import FakeLookups, Table
from tests.unit.onboarding.observed_partner import ACME
from tlsgate.dns.nameservers import Resolver
from tlsgate.onboarding import ourselves
from tlsgate.onboarding.letter import WIDTH, letter
from tlsgate.onboarding.ourselves import OurDomain, OurHost, look_at_ourselves
from tlsgate.partners.model import Inbound, Outbound, Partner, Require, Verify
from tlsgate.probe.published import Sts
from tlsgate.probe.result import ProbeResult
from tlsgate.problems import ProblemsError
from tlsgate.tls import Strength

MX1, MX2 = OurHost("mx1.corp.example", ("3 1 1 abcd",)), OurHost("mx2.corp.example")
OURS = (
    OurDomain("corp.example", (MX1, MX2), Sts.ENFORCE),
    OurDomain("brand.example", (MX1,), Sts.TESTING),
)
BARE = (OurDomain("corp.example", (MX2,), Sts.NONE),)
FOUND = (
    ProbeResult(
        "acme.example", frozenset(), "acme.example is not\x1b ready.", mx_names=("mx.p.example",)
    ),
)
ASK = "mail@corp.example"


def flat(partner: Partner = ACME, ours: tuple[OurDomain, ...] = OURS) -> str:
    return " ".join(letter(partner, FOUND, ours, ASK).split())


def test_the_whole() -> None:
    lines = letter(ACME, FOUND, OURS, ASK).splitlines()
    assert lines[:3] == [
        "To: postmaster@acme.example",
        "Subject: Encrypted mail between corp.example and acme.example",
        "",
    ]
    assert "    corp.example   secure match=mx1.corp.example:mx2.corp.example" in lines
    assert "    brand.example  secure match=mx1.corp.example" in lines
    assert lines.count("    _25._tcp.mx1.corp.example. TLSA 3 1 1 abcd") == 1
    assert lines[-1] == f"Questions, and word of changes: {ASK}"
    assert max(map(len, lines)) <= WIDTH
    text = flat()
    assert "Acme Motors AG and we agreed on 2026-10-01" in text
    assert "MTA-STS (RFC 8461): corp.example (enforced), brand.example (in testing)." in text
    assert "After 7 days and 20 messages each way without one, we enforce it" in text
    assert "- acme.example is not\\x1b ready." in text
    assert "please confirm them to us, for only DNS names them so far: mx.p.example." in text
    assert "We ask you again by 2027-10-01." in text


@pytest.mark.parametrize(
    ("partner", "says"),
    [
        (ACME, "For acme.example and all domains below: every server"),
        (ACME, "a valid certificate of a public CA for the mail domain itself or a name below it."),
        (ACME, "must come over TLS 1.2 with forward secrecy and AEAD, or TLS 1.3. Any"),
        (
            replace(ACME, tls=Strength.COMPATIBLE),
            "STARTTLS and TLS 1.2 with forward secrecy and SHA-2, or TLS 1.3, and prove itself",
        ),
        (
            replace(ACME, tls=Strength.COMPATIBLE),
            "must come over TLS 1.2 with forward secrecy and SHA-2, or TLS 1.3. Anything else",
        ),
        (replace(ACME, subdomains=False), "For acme.example: every server"),
        (
            replace(ACME, outbound=Outbound(mx=(".mx.acme.example", "mx.p.example"))),
            "a public CA for a name below mx.acme.example or mx.p.example.",
        ),
        (replace(ACME, outbound=Outbound(Verify.DANE)), "a key that a TLSA record names"),
        (
            replace(ACME, outbound=Outbound(Verify.PIN, public_keys=("aa", "bb"))),
            "one of these keys (SHA-256 of the SPKI): aa, bb.",
        ),
        (
            replace(ACME, outbound=Outbound(Verify.PIN, public_keys=("aa",))),
            "their names or their CA, or a key above.",
        ),
        (replace(ACME, outbound=Outbound(Verify.PRIVATE_CA, ca="x")), "of your own CA, as agreed"),
        (
            replace(ACME, inbound=Inbound(Require.CERTIFICATE, public_keys=("cc",))),
            "a certificate with one of these keys (SHA-256 of the SPKI): cc.",
        ),
        (
            replace(ACME, inbound=Inbound(Require.NETWORK, networks=("192.0.2.0/28",))),
            "secrecy and AEAD, or TLS 1.3, from 192.0.2.0/28.",
        ),
    ],
)
def test_each_kind_of_record(partner: Partner, says: str) -> None:
    assert says in flat(partner)


def test_what_we_do_not_have_is_not_promised() -> None:
    text = flat(ours=BARE)
    assert "DANE" not in text
    assert "MTA-STS" not in text


def test_names_that_the_record_has_need_no_word_more() -> None:
    partner = replace(ACME, outbound=Outbound(mx=("mx.p.example",)))
    assert "please confirm" not in flat(partner)


ZONE: Table = {
    ("corp.example", "MX"): (True, ["10 mx1.corp.example."]),
    ("mx1.corp.example", "A"): (True, ["192.0.2.1"]),
    ("_25._tcp.mx1.corp.example", "TLSA"): (True, [f"3 1 1 {'ab' * 32}"]),
    ("bare.example", "A"): (False, ["192.0.2.1"]),
    ("broken.example", "MX"): None,
}


def test_what_dns_says_of_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ourselves, "lookups_of", lambda resolver: FakeLookups(ZONE))
    resolver = Resolver(("192.0.2.53",))
    host = OurHost("mx1.corp.example", (f"3 1 1 {'ab' * 32}",))
    assert look_at_ourselves(["corp.example"], resolver, "") == (
        OurDomain("corp.example", (host,), Sts.NONE),
    )
    with pytest.raises(ProblemsError) as refused:
        look_at_ourselves(["corp.example", "bare.example", "broken.example"], resolver, "")
    assert [one.key for one in refused.value.problems] == ["bare.example", "broken.example"]
