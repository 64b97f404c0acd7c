"""From Postfix's own lines to a code, words and what to do."""

from __future__ import annotations

import pytest

from tests.unit.queue.gateway_words import LOG, NO_REUSE, fed, held_mail, one
from tlsgate.partners.model import Outbound, Verify
from tlsgate.queue.attempts import Attempt
from tlsgate.queue.reasons import diagnose

PKIX = Outbound()
PIN = Outbound(Verify.PIN, public_keys=("ab" * 32, "cd" * 32))
NOT_VERIFIED = "Server certificate not verified"
MX = "mx.acme.example[192.0.2.1]:25"

REAL = [
    ("selfsigned", "self-signed", "mx.selfsigned.example [172.18.0.4] shows a self-signed"),
    ("unknownca", "issuer", "without a chain to an accepted CA (untrusted issuer /CN=stranger)"),
    ("rootchain", "issuer", "untrusted issuer /CN=stranger"),
    ("wrongname", "name", "is trusted, but not for a name that is accepted"),
    ("forged", "foreign-mx", "DNS names mx.attacker.example [172.18.0.10], but neither that"),
    ("twin", "foreign-mx", "mx.wrongname.example [172.18.0.7]"),
    ("expired", "dates", "certificate has expired"),
    ("notyet", "dates", "certificate not yet valid"),
    ("danebad", "tlsa", "its TLSA records do not name"),
    ("danetabad", "tlsa", "its TLSA records do not name"),
    ("danefree", "tlsa", "mx.danebad.example [172.18.0.11]"),
    ("danenone", "tlsa-records", "no TLSA records found"),
    ("danefail", "tlsa-records", "TLSA lookup error for mx.danefail.example:25"),
    ("plain", "no-starttls", "mx.plain.example [172.18.0.13] does not offer STARTTLS"),
    ("twinb", "no-starttls", "mx.plain.example [172.18.0.13] does not offer STARTTLS"),
    ("starttlsfour", "starttls-refused", "454 4.7.0 TLS not available due to local problem"),
    ("old", "old-tls", "offers TLS 1.1 at most"),
    ("old11", "old-tls", "offers TLS 1.1 at most"),
    ("weak", "weak", "too weak (ssl/tls alert handshake failure)"),
    ("tlsplain", "handshake", "does not complete TLS (wrong version number)"),
    ("tlsdrop", "handshake", "does not complete TLS (the connection was closed)"),
    ("refused", "unreachable", "cannot be reached (Connection refused)"),
    ("noroute", "unreachable", "cannot be reached (No route to host)"),
    ("silent", "slow", "timed out while receiving the initial server greeting"),
    ("drop", "closed", "while receiving the initial server greeting"),
    ("datadrop", "closed", "while sending DATA command"),
    ("greetfour", "refused", "turns us away (421 4.7.0 come back later ?[31mred)"),
    ("greetfive", "refused", "turns us away (554 5.7.1 you are on a list)"),
    ("mailfour", "answer", "greylisted, try again in 300 seconds"),
    ("rcptfour", "answer", "450 4.2.0 <x>: Recipient address rejected"),
    ("full", "answer", "452 4.2.2 mailbox full"),
    ("endfour", "answer", "451 4.3.0 queue file write error"),
    ("servfail", "mx", "name=servfail.example type=MX: Host not found, try again"),
    ("aservfail", "mx", "name=mx.aservfail.example type=A"),
    ("tempfail", "helper", "(the policy of tempfail.example cannot be looked up)"),
    ("hang", "helper", "the policy helper does not return a TLS policy for the domain"),
    ("slow", "waiting", "no attempt has ended yet"),
]


@pytest.mark.parametrize(("name", "code", "words"), REAL)
def test_real_lines(name: str, code: str, words: str) -> None:
    held = [one for one in held_mail() if one.domain == f"{name}.example"]
    attempts = fed(held_mail(), LOG)
    assert held
    for message in held:
        rule = None if name == "danefree" else PKIX
        why = diagnose(message, attempts.of(message), rule)
        assert (why.reason.code, why.exact) == (code, True), attempts.of(message)
        assert words in why.reason.text
        assert why.ours == (code in {"helper", "waiting"})


def test_the_key_that_was_agreed_is_no_tlsa_record() -> None:
    held = next(one for one in held_mail() if one.domain == "pinbad.example")
    why = diagnose(held, fed([held], LOG).of(held), PIN)
    assert why.reason.code == "pin"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("selfsigned", "self-signed"),
        ("unknownca", "issuer"),
        ("wrongname", "name"),
        ("expired", "dates"),
        ("old", "old-tls"),
        ("weak", "weak"),
        ("tlsdrop", "handshake"),
        ("tlsplain", "handshake"),
    ],
)
def test_without_reuse_the_smtp_process_says_it_itself(name: str, code: str) -> None:
    ids = {
        line.split(": ")[1]: line.split("to=<")[1].split(">")[0]
        for line in NO_REUSE
        if f"to=<a@{name}.example>" in line
    }
    held = [one(to, NOT_VERIFIED, number=number) for number, to in ids.items()]
    attempts = fed(held, NO_REUSE)
    assert held
    for message in held:
        why = diagnose(message, attempts.of(message), PKIX)
        assert (why.reason.code, why.exact) == (code, True)


MISMATCH = "num=62:hostname mismatch"


@pytest.mark.parametrize(
    ("why", "rule", "code"),
    [
        ("num=66:EE certificate key too weak", PKIX, "weak"),
        ("num=68:CA signature digest algorithm too weak", None, "weak"),
        (MISMATCH, None, "name"),
        (MISMATCH, PKIX, "name"),
        (MISMATCH, Outbound(mx=("mx.acme.example",)), "name"),
        (MISMATCH, Outbound(mx=(".provider.example",)), "foreign-mx"),
        ("external policy failure (sts-policy-invalid)", None, "mta-sts-mx"),
        ("not trusted by local or TLSA policy", PKIX, "tlsa"),
        ("num=65:no matching DANE TLSA records", PIN, "pin"),
        ("certificate has expired", PKIX, "dates"),
        ("num=26:unsuitable certificate purpose", PKIX, "untrusted"),
        ("{place} {0} %s", PKIX, "untrusted"),
    ],
)
@pytest.mark.parametrize("said", [NOT_VERIFIED, "Server certificate not trusted"])
def test_certificates(said: str, why: str, rule: Outbound | None, code: str) -> None:
    line = f"server certificate verification failed for {MX}: {why}"
    found = diagnose(one(said=said), Attempt(None, MX, said, (line,)), rule)
    assert (found.reason.code, found.exact, found.ours) == (code, True, False)


HANDSHAKE = "Cannot start TLS: handshake failure"
PROBLEM = "client TLS configuration problem"
SMALL_KEY = "warning: TLS library problem: error:0A00018A:SSL routines::dh key too small:../s.c:1:"
LOOKUP = "warning: x socketmap server temporary error: look-up failed: MX of acme.example: NoNS"


@pytest.mark.parametrize(
    ("said", "details", "code", "exact"),
    [
        (NOT_VERIFIED, (), "untrusted", False),
        (HANDSHAKE, (), "handshake", False),
        (HANDSHAKE, (SMALL_KEY,), "weak", True),
        ("TLS is required, but our TLS engine is unavailable", (), "engine", True),
        (PROBLEM, (), "helper", False),
        (PROBLEM, (LOOKUP,), "policy", True),
        (f"server {MX} violates mta-sts policy", (), "mta-sts-mx", True),
        ("mail for acme.example loops back to myself", (), "mx", True),
        ("Domain acme.example does not accept mail (nullMX)", (), "mx", True),
        ("something that Postfix will say one day", (), "other", True),
        ("delivery temporarily suspended: connect to mx[::1]:25: x", (), "unreachable", True),
    ],
)
def test_words(said: str, details: tuple[str, ...], code: str, exact: bool) -> None:
    why = diagnose(one(said=said), Attempt(None, MX, said, details), PKIX)
    assert (why.reason.code, why.exact) == (code, exact)
    assert why.reason.text
    assert why.reason.remedy


@pytest.mark.parametrize(
    ("queue", "said", "code"),
    [
        ("hold", NOT_VERIFIED, "on-hold"),
        ("active", "", "waiting"),
        ("incoming", "", "waiting"),
        ("deferred", "", "other"),
        ("deferred", NOT_VERIFIED, "untrusted"),
        (
            "deferred",
            "connect to mx.a.example[2001:db8::1]:25: Connection timed out",
            "unreachable",
        ),
    ],
)
def test_the_queue_alone(queue: str, said: str, code: str) -> None:
    assert diagnose(one(said=said, queue=queue), None, PKIX).reason.code == code
