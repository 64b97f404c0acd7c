"""Postfix policy tables as records: what a record can express is imported, the rest reported."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.import_parts import imported, only
from tests.unit.partners.test_partner_format import partners as any_partner
from tlsgate.commands.partners_export import to_postfix
from tlsgate.partners.import_postfix import read_postfix
from tlsgate.partners.model import Mode, Outbound, Partner, Verify
from tlsgate.render.partner_maps import compile_partners

PIN = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"
COLONS = ":".join(PIN[i : i + 2].upper() for i in range(0, 64, 2))


@pytest.mark.parametrize(
    ("text", "subdomains", "outbound"),
    [
        ("a.example secure", False, Outbound()),
        ("a.example secure match=nexthop:dot-nexthop", False, Outbound()),
        ("a.example secure match=.a.example match=a.example", False, Outbound()),
        ("A.example\tsecure, match=nexthop", False, Outbound(Verify.PKIX, ("a.example",))),
        ("a.example secure match=mx.b.example", False, Outbound(Verify.PKIX, ("mx.b.example",))),
        ("a.example secure\n.a.example secure", True, Outbound()),
        ("a.example secure match=a.example:.a.example\n.a.example secure", True, Outbound()),
        (
            "a.example secure match=.b.example\n.a.example secure match=.b.example",
            True,
            Outbound(Verify.PKIX, (".b.example",)),
        ),
        (
            "a.example secure match=a.example:.a.example\n"
            ".a.example secure match=a.example:.a.example",
            True,
            Outbound(Verify.PKIX, (".a.example", "a.example")),
        ),
        ("# head\n\na.example\n  # inside\n  dane-only", False, Outbound(Verify.DANE)),
        ("a.example dane-only\n.a.example dane-only", True, Outbound(Verify.DANE)),
        (f"a.example fingerprint match={COLONS}", False, Outbound(Verify.PIN, (), (PIN,))),
        (
            f"a.example fingerprint match={COLONS}|{'00:' * 31}00",
            False,
            Outbound(Verify.PIN, (), ("0" * 64, PIN)),
        ),
    ],
)
def test_a_postfix_entry_becomes_a_record(text: str, subdomains: bool, outbound: Outbound) -> None:
    partner = only(read_postfix, text)
    assert partner.domains == ("a.example",)
    assert (partner.subdomains, partner.outbound) == (subdomains, outbound)
    assert (partner.contact, partner.mode) == ("postmaster@a.example", Mode.ENFORCE)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("a.example may", "too-weak", "list:1: a.example: the level `may` sends in plaintext"),
        ("a.example none", "too-weak", "sends without TLS"),
        ("a.example encrypt", "too-weak", "authenticates nobody"),
        ("a.example verify", "too-weak", "trusts the server name that DNS gave"),
        ("a.example dane", "too-weak", "falls back to opportunistic TLS"),
        ("a.example secur", "too-weak", "the level `secur` is not a TLS policy level"),
        ("a.example", "too-weak", "the level `` is not a TLS policy level"),
        ("a.example secure match=hostname", "too-weak", "`match=hostname` trusts"),
        ("a.example secure tafile=/x.pem", "not-said", "`tafile=/x.pem` cannot be expressed"),
        ("a.example secure protocols=>=TLSv1.3", "not-said", "cannot be expressed in a record"),
        ("a.example secure protocols=!TLSv1.2", "not-said", "cannot be expressed in a record"),
        ("a.example secure policy_ttl=1", "not-said", "cannot be expressed in a record"),
        ("a.example fingerprint match=AA:BB", "not-sha256", "is not a SHA-256"),
        ("a.example fingerprint", "not-sha256", "is not a SHA-256"),
        ("[mx.a.example] secure", "not-a-domain", "is a next hop, not a mail domain"),
        ("a.example:587 secure", "not-a-domain", "is a next hop"),
        (".a.example secure", "below-only", "Write an entry for a.example too"),
        (
            "a.example secure\na.example may",
            "doubled",
            "list:2: a.example: appears twice in the table",
        ),
        ("a.example secure\n.a.example dane-only", "two-rules", "has other requirements than"),
        (
            "a.example secure\n.a.example secure match=mx.a.example",
            "two-rules",
            "has other requirements than .a.example",
        ),
        ("a.example secure\n.a.example may", "too-weak", "list:2: .a.example: the level `may`"),
        ("co.uk secure", "bad-domain", "is a public suffix"),
        ("bücher.example secure", "bad-domain", "Write xn--bcher-kva.example"),
        ("a.example secure match=.com", "bad-mx", "outbound.mx[0]"),
    ],
)
def test_an_entry_that_no_record_can_express_is_a_problem(text: str, code: str, said: str) -> None:
    partners, source = imported(read_postfix, text)
    assert code in {problem.code for problem in source.problems}
    assert said in str(source.problems[0])
    assert len(partners) == (code == "doubled")


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ("protocols=>=TLSv1.2", "not-taken"),
        ("protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", "not-taken"),
        ("protocols=TLSv1.2:TLSv1.3", "not-taken"),
        ("ciphers=high", "not-taken"),
        ("ciphers=medium", "not-taken"),
        ("servername=mx.a.example", "not-taken"),
    ],
)
def test_what_the_gateway_sets_for_all_partners_is_a_note(attribute: str, code: str) -> None:
    partners, source = imported(read_postfix, f"a.example secure {attribute}")
    assert len(partners) == 1
    assert [note.code for note in source.notes] == [code]
    assert attribute in str(source.notes[0])


def outbound_rules(partners: list[Partner]) -> dict[str, object]:
    """The compiled map; accepted names are in any order."""
    return {
        key: (policy.partition("match=")[0], frozenset(policy.partition("match=")[2].split(":")))
        for key, policy in compile_partners(partners).outbound
    }


def apart(partners: list[Partner]) -> list[Partner]:
    """The partners that share no domain with another."""
    seen: set[str] = set()
    kept = []
    for number, partner in enumerate(partners):
        if seen.isdisjoint(partner.domains):
            seen.update(partner.domains)
            kept.append(replace(partner, name=f"P{number}"))
    return kept


@given(st.lists(any_partner, max_size=4).map(apart))
def test_a_list_exported_to_postfix_and_imported_again_demands_the_same(
    partners: list[Partner],
) -> None:
    again, source = imported(read_postfix, to_postfix(partners))
    assert source.problems == []
    assert outbound_rules(again) == outbound_rules(partners)
    assert (
        to_postfix(again).splitlines()[2:]
        == to_postfix(imported(read_postfix, to_postfix(again))[0]).splitlines()[2:]
    )


WORDS = """a.example .a.example b.example secure may dane-only fingerprint match= match=nexthop :
    match=b.example protocols=x # [mx] nexthop hostname"""
words = st.sampled_from(WORDS.split()) | st.text(max_size=4)
lines = st.lists(st.lists(words, max_size=5).map(" ".join), max_size=6).map("\n".join)


@given(lines)
def test_every_key_of_any_table_is_a_record_or_a_problem(text: str) -> None:
    partners, source = imported(read_postfix, text)
    said = {problem.key for problem in source.problems}
    records = {domain for partner in partners for domain in partner.domains}
    for line in text.split("\n"):
        key = "".join(line.split()[:1]).lower()
        if key in ("a.example", "b.example") and not line[0].isspace():
            # The key of the subdomains may be the cause: a record covers both or neither.
            reported = {key, f".{key}"} & said or any(
                p.code.startswith("bad") for p in source.problems
            )
            assert key in records or reported
