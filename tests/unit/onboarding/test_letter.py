"""The letter: each kind of record, in words that a postmaster can act on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.dns.fake_dns import FakeLookups, Table
from tests.unit.onboarding.observed_partner import ACME
from tlsgate.dns.nameservers import Resolver
from tlsgate.onboarding import own_domains
from tlsgate.onboarding.letter import WIDTH, letter
from tlsgate.onboarding.own_domains import OwnDomain, OwnHost, look_up_own_domains
from tlsgate.partners.model import Inbound, Outbound, Partner, Require, Verify
from tlsgate.probe.published import Sts
from tlsgate.probe.result import ProbeResult
from tlsgate.problems import ProblemsError
from tlsgate.tls import Strength

MX1, MX2 = OwnHost("mx1.corp.example", ("3 1 1 abcd",)), OwnHost("mx2.corp.example")
OURS = (
    OwnDomain("corp.example", (MX1, MX2), Sts.ENFORCE),
    OwnDomain("brand.example", (MX1,), Sts.TESTING),
)
BARE = (OwnDomain("corp.example", (MX2,), Sts.NONE),)
FOUND = (
    ProbeResult(
        "acme.example", frozenset(), "acme.example is not\x1b ready.", mx_names=("mx.p.example",)
    ),
)
ASK = "mail@corp.example"


def flat(partner: Partner = ACME, ours: tuple[OwnDomain, ...] = OURS) -> str:
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
    assert lines[-1] == f"Please send questions and notice of changes to {ASK}"
    assert max(map(len, lines)) <= WIDTH
    text = flat()
    assert "Acme Motors AG and we agreed on 2026-10-01" in text
    assert "MTA-STS (RFC 8461): corp.example (enforced), brand.example (in testing)." in text
    assert (
        "After 7 days and 20 messages in each direction without such a message, we enforce it"
        in text
    )
    assert "- acme.example is not\\x1b ready." in text
    assert "please confirm them. So far we know them only from DNS: mx.p.example." in text
    assert "We will ask you to confirm this agreement again by 2027-10-01." in text


@pytest.mark.parametrize(
    ("partner", "says"),
    [
        (ACME, "For acme.example and all domains below: every server"),
        (ACME, "a valid certificate of a public CA for the mail domain itself or a name below it."),
        (ACME, "must be sent over TLS 1.2 with forward secrecy and AEAD, or TLS 1.3. We"),
        (
            replace(ACME, tls=Strength.COMPATIBLE),
            "STARTTLS with TLS 1.2 with forward secrecy and SHA-2, or TLS 1.3, and prove its",
        ),
        (
            replace(ACME, tls=Strength.COMPATIBLE),
            "must be sent over TLS 1.2 with forward secrecy and SHA-2, or TLS 1.3. We refuse",
        ),
        (replace(ACME, subdomains=False), "For acme.example: every server"),
        (
            replace(ACME, outbound=Outbound(mx=(".mx.acme.example", "mx.p.example"))),
            "a public CA for a name below mx.acme.example or mx.p.example.",
        ),
        (replace(ACME, outbound=Outbound(Verify.DANE)), "a key in a TLSA record"),
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


def test_the_letter_does_not_promise_what_we_do_not_have() -> None:
    text = flat(ours=BARE)
    assert "DANE" not in text
    assert "MTA-STS" not in text


def test_names_in_the_record_need_no_confirmation() -> None:
    partner = replace(ACME, outbound=Outbound(mx=("mx.p.example",)))
    assert "please confirm" not in flat(partner)


ZONE: Table = {
    ("corp.example", "MX"): (True, ["10 mx1.corp.example."]),
    ("mx1.corp.example", "A"): (True, ["192.0.2.1"]),
    ("_25._tcp.mx1.corp.example", "TLSA"): (True, [f"3 1 1 {'ab' * 32}"]),
    ("bare.example", "A"): (False, ["192.0.2.1"]),
    ("broken.example", "MX"): None,
}


def test_what_dns_says_about_our_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_domains, "lookups_of", lambda resolver: FakeLookups(ZONE))
    resolver = Resolver(("192.0.2.53",))
    host = OwnHost("mx1.corp.example", (f"3 1 1 {'ab' * 32}",))
    assert look_up_own_domains(["corp.example"], resolver, "") == (
        OwnDomain("corp.example", (host,), Sts.NONE),
    )
    with pytest.raises(ProblemsError) as refused:
        look_up_own_domains(["corp.example", "bare.example", "broken.example"], resolver, "")
    assert [one.key for one in refused.value.problems] == ["bare.example", "broken.example"]
