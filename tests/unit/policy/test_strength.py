"""A record's `tls`: what a partner's session must be, once port 25 offers older encryption."""

from __future__ import annotations

import ipaddress
import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.test_partner_format import every_partner
from tests.unit.policy.partner_list import (
    BEFORE,
    END,
    partner,
    rules,
    rules_json,
    until_last_day,
)
from tests.unit.render.test_partner_maps import disjoint
from tlsgate.partners.model import Allow, Direction, Inbound, Mode, Partner, Require
from tlsgate.policy.delegation import Request
from tlsgate.policy.identities import DUNNO, NO_TLS, WEAK_TLS, decide, verify
from tlsgate.policy.rules import BadRules, load_rules
from tlsgate.render.partner_maps import CLASS_IDENTITY, CLASS_TLS, compile_partners
from tlsgate.tls import STRONG_SUITES, Strength, allows

PIN = "ab" * 32
INBOUND, COMPATIBLE = Direction.INBOUND, Strength.COMPATIBLE
TLS13, AEAD = ("TLSv1.3", "TLS_AES_256_GCM_SHA384"), ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
CBC = ("TLSv1.2", "ECDHE-RSA-AES128-SHA256")
STATIC_RSA, OLD, PLAIN = ("TLSv1.2", "AES128-GCM-SHA256"), ("TLSv1.1", AEAD[1]), ("", "")
SESSIONS = (TLS13, AEAD, CBC, STATIC_RSA, OLD, ("TLSv1.2", ""), PLAIN)

NETWORK = Inbound(Require.NETWORK, networks=("192.0.2.0/24",))
LIST = (
    partner("acme.example", name="Acme Motors AG", inbound=Inbound(networks=("203.0.113.0/28",))),
    partner("old.example", name="Old", tls=COMPATIBLE),
    partner("old-net.example", name="Old Net", inbound=NETWORK, tls=COMPATIBLE),
    partner("net.example", name="Net", inbound=NETWORK),
    partner("cert.example", name="Cert", inbound=Inbound(Require.CERTIFICATE, (PIN,))),
    partner(
        "late.example",
        until_last_day(INBOUND, Allow.PLAINTEXT),
        name="Late",
        inbound=Inbound(networks=("203.0.113.16/28",)),
    ),
    partner(
        "any.example",
        until_last_day(INBOUND, Allow.ENCRYPTED),
        name="Any",
        inbound=Inbound(Require.NETWORK, networks=("203.0.113.32/28",)),
    ),
    partner("watched.example", name="Watched", observe=True),
)
RULES = rules(*LIST)


def asked(
    domain: str, client: str, session: tuple[str, str], key: str = "", now: datetime = BEFORE
) -> str:
    protocol, cipher = session
    request = Request(domain, ipaddress.ip_address(client), protocol, key, cipher=cipher)
    return decide(RULES.identities, request, now).action


ACME_SAYS = "450 4.7.1 Acme Motors AG requires TLS 1.2 with forward secrecy and AEAD, or TLS 1.3"


@pytest.mark.parametrize(
    ("domain", "client", "session", "action"),
    [
        ("acme.example", "198.51.100.1", TLS13, DUNNO),
        ("acme.example", "198.51.100.1", AEAD, DUNNO),
        ("acme.example", "198.51.100.1", CBC, ACME_SAYS),
        ("acme.example", "198.51.100.1", STATIC_RSA, ACME_SAYS),
        ("acme.example", "198.51.100.1", OLD, ACME_SAYS),
        ("acme.example", "198.51.100.1", ("TLSv1.2", ""), ACME_SAYS),
        ("acme.example", "198.51.100.1", PLAIN, "450 4.7.1 Acme Motors AG requires TLS"),
        # Older encryption is no pass for whoever is not the partner.
        ("old-net.example", "192.0.2.1", CBC, DUNNO),
        ("old-net.example", "198.51.100.1", CBC, "450 4.7.1 Old Net requires a client in its"),
        (
            "old-net.example",
            "192.0.2.1",
            STATIC_RSA,
            "450 4.7.1 Old Net requires TLS 1.2 with forward secrecy and SHA-2, or TLS 1.3",
        ),
        (
            "net.example",
            "192.0.2.1",
            CBC,
            "450 4.7.1 Net requires TLS 1.2 with forward secrecy and AEAD, or TLS 1.3",
        ),
        ("net.example", "192.0.2.1", AEAD, DUNNO),
        # The null sender: as strong as the strictest partner of the network asks for.
        ("", "203.0.113.1", AEAD, DUNNO),
        ("", "203.0.113.1", CBC, ACME_SAYS),
        ("", "203.0.113.1", PLAIN, "450 4.7.1 Acme Motors AG requires TLS"),
        (
            "",
            "192.0.2.1",
            CBC,
            "450 4.7.1 Net requires TLS 1.2 with forward secrecy and AEAD, or TLS 1.3",
        ),
    ],
)
def test_a_session_is_as_strong_as_the_record_asks_for(
    domain: str, client: str, session: tuple[str, str], action: str
) -> None:
    assert asked(domain, client, session) == action or (
        action.endswith("in its") and asked(domain, client, session).startswith(action)
    )


@pytest.mark.parametrize(
    ("session", "action"), [(CBC, "450 4.7.1 Cert requires TLS 1.2 with"), (AEAD, DUNNO)]
)
def test_a_registered_key_is_no_pass_for_older_encryption(
    session: tuple[str, str], action: str
) -> None:
    assert asked("cert.example", "198.51.100.1", session, PIN).startswith(action)


@pytest.mark.parametrize(
    ("domain", "client", "session", "before", "after"),
    [
        # What allows plaintext allows any TLS; what waives the identity does not waive the rest.
        ("late.example", "203.0.113.16", CBC, DUNNO, "450 4.7.1 Late requires TLS 1.2 with"),
        ("", "203.0.113.16", CBC, DUNNO, "450 4.7.1 Late requires TLS 1.2 with"),
        ("any.example", "198.51.100.1", CBC, "450 4.7.1 Any requires TLS 1.2", "450 4.7.1 Any"),
        ("any.example", "198.51.100.1", AEAD, DUNNO, "450 4.7.1 Any requires a client in its"),
    ],
)
def test_an_exception_ends_by_the_clock(
    domain: str, client: str, session: tuple[str, str], before: str, after: str
) -> None:
    assert asked(domain, client, session).startswith(before)
    assert asked(domain, client, session, now=END).startswith(after)


@pytest.mark.parametrize(
    ("session", "code"), [(AEAD, ""), (CBC, WEAK_TLS), (OLD, WEAK_TLS), (PLAIN, NO_TLS)]
)
def test_an_observed_partner_has_a_reason_for_it(session: tuple[str, str], code: str) -> None:
    identity, _ = RULES.identities.find("watched.example")
    assert identity
    request = Request("watched.example", None, session[0], "", cipher=session[1])
    verdict = verify(identity, request, BEFORE)
    assert verdict.code == code
    assert not code or verdict.reason.startswith("session is ")


def test_rules_of_an_older_version_demand_strong_tls_and_an_unknown_word_is_refused() -> None:
    values = json.loads(rules_json(*LIST))
    for entry in values["inbound"]:
        del entry["strength"]
    identity, _ = load_rules(json.dumps(values).encode()).identities.find("old-net.example")
    assert identity
    assert identity.strength is Strength.STRONG
    values["inbound"][0]["strength"] = "weak"
    with pytest.raises(BadRules, match=r"inbound.*'weak'"):
        load_rules(json.dumps(values).encode())


records = st.lists(every_partner, min_size=1, max_size=4).map(disjoint)


def offered(partners: list[Partner]) -> list[tuple[str, str]]:
    """The sessions that port 25 allows at all."""
    strength = compile_partners(partners).strength
    return [one for one in SESSIONS if not one[0] or allows(strength, *one)]


@given(records, st.sampled_from(SESSIONS))
def test_no_list_lets_a_partner_s_mail_in_under_less_than_its_record_asks_for(
    partners: list[Partner], session: tuple[str, str]
) -> None:
    """The table and the helper together, asked in the partner's name with all that it could show.

    The judge is the record itself.
    """
    if session not in offered(partners):
        return
    maps = compile_partners(partners)
    table, helper = dict(maps.inbound), rules(*partners).identities
    for one in partners:
        if one.mode is Mode.OBSERVE or any(rule.direction is INBOUND for rule in one.exceptions):
            continue
        networks = [ipaddress.ip_network(cidr) for cidr in one.inbound.networks]
        request = Request(
            one.domains[0],
            networks[0].network_address if networks else None,
            session[0],
            "".join(one.inbound.public_keys[:1]),
            cipher=session[1],
        )
        restriction = table[one.domains[0]]
        assert restriction in {CLASS_TLS, CLASS_IDENTITY}
        accepted = bool(session[0]) and (
            restriction == CLASS_TLS or decide(helper, request, BEFORE).action == DUNNO
        )
        assert accepted == allows(one.tls, *session)


@given(records)
def test_without_older_encryption_no_plain_partner_needs_the_helper(
    partners: list[Partner],
) -> None:
    maps = compile_partners(partners)
    assert (maps.strength is COMPATIBLE) == any(one.tls is COMPATIBLE for one in partners)
    plain = {
        dict(maps.inbound)[one.domains[0]]
        for one in partners
        if one.mode is Mode.ENFORCE and one.inbound.require is Require.TLS
        if not one.exceptions and one.tls is maps.strength
    }
    assert plain <= {CLASS_TLS}


def test_the_suites_of_the_judge_are_what_they_are_named() -> None:
    assert AEAD[1] in STRONG_SUITES
    assert [allows(Strength.STRONG, *one) for one in SESSIONS] == [True, True] + [False] * 5
    assert [allows(COMPATIBLE, *one) for one in SESSIONS] == [True] * 3 + [False] * 4
