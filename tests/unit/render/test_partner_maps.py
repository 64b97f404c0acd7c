from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.ca_certificates import ca_pem
from tests.unit.partners.test_partner_format import every_partner
from tlsgate.partners.ca import file_name, parse_ca
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
from tlsgate.render import outbound_policy
from tlsgate.render.outbound_policy import HELD, end_of_day
from tlsgate.render.partner_maps import PartnerMaps, compile_partners
from tlsgate.render.partner_rules import evidence_digest
from tlsgate.tls import Strength

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
    rules = json.loads(maps.rules.to_json())
    assert rules["inbound"] == [
        {
            "domain": "cert.example",
            "encrypted_until": None,
            "networks": [],
            "observe": False,
            "partner": "Cert",
            "plaintext_until": None,
            "public_keys": list(PINS),
            "require": "certificate",
            "strength": "strong",
            "subdomains": False,
        },
        {
            "domain": "net.example",
            "encrypted_until": None,
            "networks": ["192.0.2.0/24", "2001:db8::/32"],
            "observe": False,
            "partner": "Net",
            "plaintext_until": None,
            "public_keys": [],
            "require": "network",
            "strength": "strong",
            "subdomains": True,
        },
    ]
    assert [entry["key"] for entry in rules["outbound"]] == [".acme.example", ".net.example"]
    assert rules["observed"] == []


def test_an_empty_list() -> None:
    assert compile_partners([]) == PartnerMaps((), (), (), ())
    assert not compile_partners([ACME]).asks_certificates
    assert not compile_partners([]).rules.answers_outbound


def rule(direction: Direction, allow: Allow, day: int = 24) -> ExceptionRule:
    return ExceptionRule(date(2026, 12, day), direction, allow, "late", "security@corp.example")


OUT, IN = Direction.OUTBOUND, Direction.INBOUND
STRICT = "secure match=acme.example:.acme.example"
END = datetime(2026, 12, 25, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def test_an_exception_is_no_entry_of_the_static_table_and_ends_with_its_day() -> None:
    excepted = replace(ACME, exceptions=(rule(OUT, Allow.ENCRYPTED),))
    maps = compile_partners([excepted])
    assert maps.outbound == ()
    assert maps.rules.answers_outbound
    assert maps.outbound_at(END - MOMENT) == {"acme.example": "encrypt", ".acme.example": "encrypt"}
    assert maps.outbound_at(END) == dict(compile_partners([ACME]).outbound)
    assert dict(maps.inbound) == dict(compile_partners([ACME]).inbound)


def test_exceptions_end_one_after_the_other_the_widest_first() -> None:
    both = (
        rule(OUT, Allow.ENCRYPTED, 26),
        rule(OUT, Allow.PLAINTEXT),
        rule(OUT, Allow.PLAINTEXT, 2),
    )
    at = compile_partners([replace(ACME, exceptions=both, subdomains=False)]).outbound_at
    days = [END - MOMENT, END, END + timedelta(days=2) - MOMENT, END + timedelta(days=2)]
    assert [at(day)["acme.example"] for day in days] == ["may", "encrypt", "encrypt", STRICT]
    never = rule(OUT, Allow.PLAINTEXT)
    never = replace(never, until=date.max)
    assert compile_partners([replace(ACME, exceptions=(never,))]).outbound_at(END)


def test_a_private_ca_is_trusted_until_it_ends_and_nobody_after_that() -> None:
    first, last = datetime(2027, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    old, new = ca_pem("Old CA", first), ca_pem("New CA", last)
    outbound = Outbound(Verify.PRIVATE_CA, (".mail.example",), ca=parse_ca(old + new))
    excepted = (rule(OUT, Allow.ENCRYPTED),)
    maps = compile_partners(
        [replace(ACME, outbound=outbound, exceptions=excepted, subdomains=False)]
    )
    files = dict(maps.anchors)
    assert len(files) == 2
    policies = [maps.outbound_at(day)["acme.example"] for day in (END - MOMENT, END, first, last)]
    assert policies[0] == "encrypt"
    assert policies[3] == HELD
    named = [policy.partition(" tafile=/run/tlsgate/active/") for policy in policies[1:3]]
    assert {policy for policy, _, _ in named} == {"secure match=.mail.example"}
    assert files[named[0][2]].count("BEGIN") == 2
    assert files[named[1][2]] == new
    assert named[1][2] == file_name(new)


def test_an_inbound_exception_is_asked_of_the_helper() -> None:
    network = Inbound(Require.NETWORK, networks=("192.0.2.0/24",))
    encrypted = replace(ACME, inbound=network, exceptions=(rule(IN, Allow.ENCRYPTED),))
    plain = replace(
        ACME,
        name="Plain",
        domains=("plain.example",),
        inbound=Inbound(networks=("192.0.2.0/24", "198.51.100.0/24")),
        exceptions=(rule(IN, Allow.PLAINTEXT),),
    )
    maps = compile_partners([plain, encrypted])
    assert {dict(maps.inbound)[key] for key in ("acme.example", ".acme.example")} == {
        "partner_identity"
    }
    assert dict(maps.inbound)["plain.example"] == "partner_dated"
    # What one partner needs is never less because another needs less.
    assert maps.networks == (
        ("192.0.2.0/24", "reject_plaintext_session"),
        ("198.51.100.0/24", "partner_dated"),
    )
    by_domain = {one.domain: one for one in maps.rules.inbound}
    assert by_domain["acme.example"].plaintext_until is None
    assert by_domain["acme.example"].encrypted_until == END
    assert by_domain["plain.example"].plaintext_until == END
    assert dict(maps.outbound) == dict(
        compile_partners([replace(ACME, domains=("acme.example", "plain.example"))]).outbound
    )


def test_an_observed_partner_is_in_no_table_that_holds_or_refuses() -> None:
    watched = replace(ACME, mode=Mode.OBSERVE, inbound=Inbound(networks=("192.0.2.0/24",)))
    maps = compile_partners([watched])
    assert maps.outbound == ()
    assert maps.outbound_at(END) == {}
    assert not maps.rules.answers_outbound
    assert dict(maps.inbound) == {
        "<>": "partner_null_sender",
        ".acme.example": "partner_observed",
        "acme.example": "partner_observed",
    }
    assert maps.networks == (("192.0.2.0/24", "partner_observed"),)
    assert maps.recipients == (
        (".acme.example", "partner_recipient"),
        ("acme.example", "partner_recipient"),
    )
    assert [one.timeline.then for one in maps.rules.outbound] == [
        "secure match=nexthop:dot-nexthop",
        STRICT,
    ]
    (evidence,) = maps.rules.observed
    other = replace(watched, outbound=Outbound(Verify.DANE))
    assert evidence.outbound != evidence_digest(other, OUT)
    assert evidence.inbound == evidence_digest(other, IN)


WATCHED = replace(ACME, name="Watched", mode=Mode.OBSERVE, domains=("watched.example",))
OPEN = ExceptionRule(DAY, IN, Allow.PLAINTEXT, "late", "s@corp.example")
ENCRYPTED = ExceptionRule(DAY, IN, Allow.ENCRYPTED, "late", "s@corp.example")


@pytest.mark.parametrize(
    ("partners", "null_sender", "restriction", "asked"),
    [
        ([], "partners", None, []),
        ([], "tls", "reject_plaintext_session", []),
        ([ACME], "partners", "partner_null_sender", [("Acme", ("acme.example",), None)]),
        ([ACME], "tls", "reject_plaintext_session", []),
        ([WATCHED], "partners", None, []),
        (
            [replace(ACME, exceptions=(OPEN,), domains=("b.example", "a.example"))],
            "partners",
            "partner_null_sender",
            [("Acme", ("b.example", "a.example"), end_of_day(DAY))],
        ),
        (
            [replace(ACME, exceptions=(ENCRYPTED,))],
            "partners",
            "partner_null_sender",
            [("Acme", ("acme.example",), None)],
        ),
    ],
)
def test_whose_null_sender_needs_tls(
    partners: list[Partner],
    null_sender: str,
    restriction: str | None,
    asked: list[tuple[str, tuple[str, ...], datetime | None]],
) -> None:
    maps = compile_partners(partners, null_sender)
    assert dict(maps.inbound).get("<>") == restriction
    found = [(one.partner, one.domains, one.plaintext_until) for one in maps.rules.null_senders]
    assert found == asked


@pytest.mark.parametrize(
    ("partner", "message"),
    [
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
    assert [key for key, _ in maps.outbound] == sorted({key for key, _ in maps.inbound} - {"<>"})
    for key, value in maps.outbound:
        assert not set("\n\t #") & set(key)
        assert value.startswith("secure match=")
    assert {value for _, value in maps.inbound} == {"partner_tls", "partner_null_sender"}


def excepted(partner: Partner, now: datetime) -> bool:
    return any(one.direction is OUT and now < end_of_day(one.until) for one in partner.exceptions)


@given(every_partner, st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_at_any_time_each_key_has_its_strict_policy_unless_an_exception_is_open(
    partner: Partner, naive: datetime
) -> None:
    now = naive.replace(tzinfo=UTC)
    maps = compile_partners([partner])
    strict = compile_partners([replace(partner, exceptions=(), mode=Mode.ENFORCE)])
    if partner.mode is Mode.OBSERVE:
        assert maps.outbound_at(now) == {}
        assert {value for _, value in maps.inbound} <= {"partner_observed", "partner_null_sender"}
        return
    keys = {
        f"{dot}{name}"
        for name in partner.domains
        for dot in (("", ".") if partner.subdomains else ("",))
    }
    assert set(maps.outbound_at(now)) == keys
    assert set(dict(maps.inbound)) - {"<>"} == keys
    wanted = strict.outbound_at(now)
    for key, policy in maps.outbound_at(now).items():
        if excepted(partner, now):
            assert policy in {"may", "encrypt"}
        else:
            assert policy == wanted[key]
            assert policy.startswith(("secure match=", "dane-only", "fingerprint match="))
    # What the static table says, it says for ever; what it does not say is asked of the helper.
    helper = {one.key for one in maps.rules.outbound}
    assert set(dict(maps.outbound)) | helper == keys
    assert {key for key in keys if key.startswith(".")} <= helper
    if partner.exceptions:
        plain = [one for one in maps.rules.inbound if one.plaintext_until]
        assert bool(plain) == any(one.direction is IN for one in partner.exceptions)


def disjoint(found: list[Partner]) -> list[Partner]:
    """Those that no partner before them has a domain of, as in a list that loads."""
    kept: list[Partner] = []
    for number, partner in enumerate(found):
        taken = [domain for one in kept for domain in one.domains]
        if not any(
            one == domain or one.endswith(f".{domain}") or domain.endswith(f".{one}")
            for domain in taken
            for one in partner.domains
        ):
            kept.append(replace(partner, name=f"Partner {number}"))
    return kept


@given(
    st.lists(every_partner, max_size=4).map(disjoint),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
)
def test_no_partner_changes_what_holds_for_another(
    partners: list[Partner], naive: datetime
) -> None:
    now = naive.replace(tzinfo=UTC)
    together, alone = compile_partners(partners), [compile_partners([one]) for one in partners]
    assert together.outbound_at(now) == {
        key: policy for maps in alone for key, policy in maps.outbound_at(now).items()
    }
    rules = {one for maps in alone for one in maps.rules.inbound}
    assert rules <= set(together.rules.inbound)
    # Those that need no question of their own are asked about where another has older encryption.
    for one in set(together.rules.inbound) - rules:
        assert (one.require, one.strength) == ("tls", Strength.STRONG)
        assert together.strength is Strength.COMPATIBLE
    # From a network that several share, the null sender must show what the strictest asks for.
    first = dict(reversed(together.networks))
    for maps in alone:
        for cidr, value in maps.networks:
            assert STRICTNESS.index(first[cidr]) <= STRICTNESS.index(value)


STRICTNESS = ["partner_identity", "reject_plaintext_session", "partner_dated", "partner_observed"]


def test_the_end_of_the_last_day_there_is() -> None:
    assert outbound_policy.end_of_day(date.max) == datetime.max.replace(tzinfo=UTC)
