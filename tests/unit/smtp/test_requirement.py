"""What the gateway demands, read back from the policies that its Postfix gets."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.dns.fake_dns import FakeLookups
from tlsgate.probe.policy_answer import Policies
from tlsgate.smtp.requirement import (
    Level,
    Requirement,
    Terms,
    allows_host,
    listed_policy,
    parse_policy,
)

PIN = "ab" * 32
TABLE = {"acme.example": "own", ".acme.example": "below", ".example": "far"}
STS = (
    "secure match=mx.d.example:.mail.d.example servername=hostname policy_type=sts"
    " policy_domain=d.example mx_host_pattern=mx.d.example mx_host_pattern=*.mail.d.example"
    " { policy_string = version: STSv1 } { policy_string = mx: mx.d.example }"
)


def listed(
    level: Level, *match: str, anchors: str = "", terms: Terms = Terms.STRONG
) -> Requirement:
    """A partner's: the host's name is always sent."""
    return Requirement(level, match, sends_host_name=True, anchors=anchors, terms=terms)


@pytest.mark.parametrize(
    ("domain", "policy"),
    [
        ("acme.example", "own"),
        ("a.acme.example", "below"),
        ("b.a.acme.example", "below"),
        ("other.example", "far"),
        ("notacme.test", None),
    ],
)
def test_the_nearest_entry_counts(domain: str, policy: str | None) -> None:
    assert listed_policy(TABLE, domain) == policy


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("dane-only", listed(Level.DANE_ONLY)),
        ("may", listed(Level.MAY)),
        ("encrypt", listed(Level.ENCRYPT)),
        ("encrypt ciphers=medium", listed(Level.ENCRYPT, terms=Terms.COMPATIBLE)),
        ("dane-only ciphers=medium", listed(Level.DANE_ONLY, terms=Terms.COMPATIBLE)),
        (
            "secure match=acme.example tafile=/run/tlsgate/active/ca-0.pem ciphers=medium",
            listed(Level.SECURE, "acme.example", anchors="ca-0.pem", terms=Terms.COMPATIBLE),
        ),
        (
            "secure match=acme.example ciphers=medium tafile=/run/tlsgate/active/ca-0.pem",
            listed(Level.SECURE, "acme.example", anchors="ca-0.pem", terms=Terms.COMPATIBLE),
        ),
        (
            "secure match=acme.example:.acme.example",
            listed(Level.SECURE, "acme.example", ".acme.example"),
        ),
        ("secure match=nexthop:dot-nexthop", listed(Level.SECURE, "d.example", ".d.example")),
        (
            f"fingerprint match={':'.join(['AB'] * 32)}|{':'.join(['CD'] * 32)}",
            listed(Level.FINGERPRINT, PIN, "cd" * 32),
        ),
    ],
)
def test_policies_in_the_tables_words(text: str, requirement: Requirement) -> None:
    assert parse_policy(text, "d.example") == requirement


def test_what_others_publish_is_no_partners() -> None:
    assert parse_policy(STS, "d.example", partner=False) == Requirement(
        Level.SECURE,
        ("mx.d.example", ".mail.d.example"),
        True,
        ("mx.d.example", "*.mail.d.example"),
    )
    dane = parse_policy("dane-only", "d.example", partner=False)
    assert dane == Requirement(Level.DANE_ONLY, terms=Terms.MANDATORY)


@pytest.mark.parametrize(
    ("text", "partner"),
    [
        ("none", True),
        ("verify", True),
        ("secure cafile=/x", True),
        ("secure servername=a.example", True),
        ("secure ciphers=low", True),
        ("secure ciphers=medium", False),
    ],
)
def test_what_is_not_understood_is_refused(text: str, partner: bool) -> None:
    with pytest.raises(ValueError, match=r"none|verify|cafile|servername|ciphers"):
        parse_policy(text, "d.example", partner=partner)


@pytest.mark.parametrize(
    ("patterns", "host", "allowed"),
    [
        ((), "any.example", True),
        (("mx.d.example",), "mx.d.example", True),
        (("*.d.example",), "mx.d.example", True),
        (("*.d.example",), "a.mx.d.example", False),
        (("*.d.example",), "d.example", False),
        (("mx.d.example",), "mx.evil.example", False),
    ],
)
def test_hosts_that_mta_sts_allows(patterns: tuple[str, ...], host: str, allowed: bool) -> None:
    assert allows_host(patterns, host) is allowed


def test_the_policy_helpers_own_answers() -> None:
    async def answers() -> list[tuple[str | None, str]]:
        failing = Policies(FakeLookups({("d.example", "MX"): None}))
        return [
            await Policies(FakeLookups({})).answer("d.example"),
            await failing.answer("d.example"),
        ]

    none, deferred = asyncio.run(answers())
    assert none == (None, "")
    assert deferred == (None, "look-up failed: MX of d.example: SERVFAIL")
