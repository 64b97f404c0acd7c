from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.ca_certificates import ca_pem
from tests.unit.render.test_partner_maps import ACME, PINS
from tlsgate.partners.ca import parse_ca
from tlsgate.partners.model import (
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.problems import ProblemsError
from tlsgate.render.postfix import PostfixSettings, render_postfix
from tlsgate.tls import Strength, cipher_list

SETTINGS = PostfixSettings(
    host_name="mx1.corp.example",
    domains=("corp.example", "brand.example"),
    internal_host="192.0.2.20",
    internal_networks=("192.0.2.0/24", "2001:db8::/64"),
)


def parameters(text: str) -> dict[str, str]:
    """main.cf as Postfix reads it: name → value on one line. No name is set twice."""
    joined = re.sub(r"\n[ \t]+", " ", re.sub(r"^#.*\n", "", text, flags=re.M))
    pairs = [line.split("=", 1) for line in joined.splitlines() if line.strip()]
    names = [name.strip() for name, _ in pairs]
    assert len(names) == len(set(names))
    return {name.strip(): value.strip() for name, value in pairs}


def main(settings: PostfixSettings = SETTINGS, **changes: Any) -> dict[str, str]:
    return parameters(render_postfix(replace(settings, **changes), [ACME])["main.cf"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tls_required_enable", "no"),
        ("smtp_tls_security_level", "dane"),
        ("smtp_dns_support_level", "dnssec"),
        ("smtp_tls_mandatory_protocols", ">=TLSv1.2"),
        ("smtpd_tls_protocols", ">=TLSv1.2"),
        ("smtpd_tls_mandatory_protocols", ">=TLSv1.2"),
        ("smtp_tls_chain_files", ""),
        ("smtpd_tls_exclude_ciphers", "aNULL"),
        ("tls_preempt_cipherlist", "yes"),
        ("tls_high_cipherlist", cipher_list(Strength.STRONG)),
        ("tls_eecdh_auto_curves", ""),
        ("sender_dependent_default_transport_maps", "inline:{ <>=null-sender: }"),
        ("parent_domain_matches_subdomains", ""),
        ("mydestination", ""),
        ("relay_domains", "corp.example brand.example"),
        ("relay_transport", "internal:[192.0.2.20]:25"),
        ("smtp_fallback_relay", ""),
        ("mynetworks", ""),
        ("internal_networks", "192.0.2.0/24 [2001:db8::]/64"),
        ("smtpd_tls_ask_ccert", "no"),
        ("milter_default_action", "tempfail"),
        ("smtp_tls_CAfile", ""),
        ("delay_warning_time", "1h"),
        ("maximal_queue_lifetime", "5d"),
    ],
)
def test_what_every_gateway_has(name: str, value: str) -> None:
    assert main()[name] == value


def test_the_helper_is_asked_from_the_rules_of_this_very_configuration() -> None:
    alone = render_postfix(SETTINGS, [replace(ACME, subdomains=False)])
    static = "lmdb:/run/tlsgate/active/partner_policy"
    public = "socketmap:inet:policy:8461:QUERY"
    assert parameters(alone["main.cf"])["smtp_tls_policy_maps"] == f"{static} {public}"
    asks = Inbound(Require.CERTIFICATE, public_keys=PINS)
    watched = replace(
        ACME, name="Watched", domains=("watched.example",), mode=Mode.OBSERVE, inbound=asks
    )
    files = render_postfix(SETTINGS, [ACME, watched])
    digest = hashlib.sha256(files["partner_rules.json"].encode()).hexdigest()[:16]
    values = parameters(files["main.cf"])
    assert values["smtp_tls_policy_maps"].split() == [
        static,
        f"socketmap:inet:policy:8461:partners-{digest}",
        public,
    ]
    service = "check_policy_service { inet:policy:10040, policy_context="
    enforce = f"{service}enforce-{digest} }}"
    assert values["partner_identity"] == f"reject_plaintext_session {enforce}"
    assert values["partner_dated"] == enforce
    never = "default_action=DUNNO, timeout=5s, try_limit=1 }"
    assert values["partner_observed"] == f"{service}observe-inbound-{digest}, {never}"
    assert values["partner_recipient"] == f"{service}observe-outbound-{digest}, {never}"
    assert values["smtpd_tls_ask_ccert"] == "yes"
    recipients = "check_recipient_access lmdb:/run/tlsgate/active/partner_recipients permit_mynet"
    assert recipients in values["internal_recipient_restrictions"]
    assert "partner_recipients" not in alone["main.cf"]


def services(master: str) -> dict[str, dict[str, str]]:
    """master.cf: service name and type → its options, `maxproc` and `command`."""
    found: dict[str, dict[str, str]] = {}
    for line in re.sub(r"\n[ \t]+", " ", re.sub(r"^#.*\n", "", master, flags=re.M)).splitlines():
        words = line.split()
        name = f"{words[0]} {words[1]}"
        assert name not in found
        found[name] = {"maxproc": words[6], "command": words[7]}
        found[name] |= dict(one.split("=", 1) for one in words[8:] if one != "-o")
    return found


def test_no_generation_finds_the_connections_of_another() -> None:
    def caches(*partners: Partner, **changes: Any) -> frozenset[str]:
        files = render_postfix(replace(SETTINGS, **changes), partners)
        generation = parameters(files["main.cf"])["tlsgate_generation"]
        found = services(files["master.cf"])
        made = {name for name, one in found.items() if one["command"] == "scache"}
        clients = [one for one in found.values() if one["command"] == "smtp"]
        used = {f"{one['connection_cache_service_name']} unix" for one in clients}
        assert made == used
        # No two classes share connections, nor the TLS that they go through.
        assert len(used) == len({one["tlsproxy_service_name"] for one in clients}) == len(clients)
        assert all(name.endswith(f"-{generation} unix") for name in made)
        return frozenset(made)

    narrower = replace(ACME, outbound=Outbound(mx=("mx.acme.example",)))
    # What stands in main.cf, in a table, and in master.cf alone.
    others = caches(ACME, message_size=1000000), caches(narrower), caches(ACME, internal_tls="may")
    assert caches(ACME) == caches(ACME)
    assert len({caches(ACME), *others}) == 4


def test_older_encryption_is_offered_only_where_a_record_has_it() -> None:
    older = replace(ACME, tls=Strength.COMPATIBLE)
    for partners, grade in (([ACME], "high"), ([older], "medium")):
        values = parameters(render_postfix(SETTINGS, partners)["main.cf"])
        assert values["smtpd_tls_ciphers"] == values["smtpd_tls_mandatory_ciphers"] == grade
        assert values["tls_medium_cipherlist"] == cipher_list(Strength.COMPATIBLE)


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({}, "internal_senders", ["<>", "brand.example", "corp.example"]),
        (
            {"internal_senders": ("a@b.example", ".c.example")},
            "internal_senders",
            [".c.example", "<>", "a@b.example", "brand.example", "corp.example"],
        ),
        ({}, "aliases", ["abuse@mx1.corp.example", "postmaster@mx1.corp.example"]),
        (
            {"postmaster": "ops@corp.example", "domains": ("corp.example",)},
            "aliases",
            [
                f"{r}@{d}"
                for r in ("abuse", "postmaster")
                for d in ("corp.example", "mx1.corp.example")
            ],
        ),
        (
            {"recipients": "list", "recipient_list": ("jane@corp.example",)},
            "recipients",
            sorted(
                ["jane@corp.example"]
                + [f"{r}@{d}" for r in ("abuse", "postmaster") for d in SETTINGS.domains]
            ),
        ),
    ],
)
def test_the_tables_of_addresses(changes: dict[str, Any], name: str, expected: list[str]) -> None:
    files = render_postfix(replace(SETTINGS, **changes), [])
    assert [line.split("\t")[0] for line in files[name].splitlines()] == expected


@pytest.mark.parametrize("recipients", ["verify", "list", "any"])
def test_how_recipients_are_known(recipients: str) -> None:
    values = main(recipients=recipients)
    last = values["smtpd_recipient_restrictions"].split()[-1]
    assert (last == "reject_unverified_recipient") == (recipients == "verify")
    assert ("relay_recipient_maps" in values) == (recipients == "list")
    assert values["unverified_recipient_reject_code"] == "550"
    assert values["unverified_recipient_defer_code"] == "450"


def test_what_private_cas_need_is_delivered() -> None:
    private = replace(ACME, outbound=Outbound(Verify.PRIVATE_CA, ca=parse_ca(ca_pem())))
    files = render_postfix(SETTINGS, [private])
    (name,) = (name for name in files if name.startswith("ca-"))
    assert files[name] == ca_pem()
    assert f"tafile=/run/tlsgate/active/{name}" in files["partner_rules.json"]
    assert files["partner_policy"] == ""


def test_port_25_never_permits() -> None:
    """No permit and no OK in any list or table that port 25 asks."""
    files = render_postfix(SETTINGS, [replace(ACME, inbound=Inbound(networks=("192.0.2.0/24",)))])
    values = parameters(files["main.cf"])
    lists = [
        value for name, value in values.items() if re.match(r"(smtpd_.*_restr|partner_)", name)
    ]
    assert len(lists) > 8
    assert not [value for value in lists if "permit" in value]
    assert values["smtpd_relay_restrictions"] == "reject_unauth_destination"
    assert values["smtpd_sender_restrictions"].startswith("check_sender_access lmdb:")
    for table in (
        *("partner_senders", "partner_networks", "own_senders"),
        *("sender_syntax", "recipient_syntax"),
    ):
        for line in files[table].splitlines():
            assert re.search(r"\s(partner_\w+|reject_plaintext_session|DUNNO|55\d .*)$", line), line


OWN = "550 5.7.1 Mail in the name of our own domain is not accepted from outside"


def test_own_domains_come_from_inside() -> None:
    files = render_postfix(SETTINGS, [ACME])
    assert files["own_senders"] == f"brand.example\t{OWN}\ncorp.example\t{OWN}\n"
    values = parameters(files["main.cf"])
    asked = re.findall(r"\w+:/run/tlsgate/active/(\w+)", values["smtpd_sender_restrictions"])
    assert asked == ["partner_senders", "sender_syntax", "own_senders"]
    assert "own_senders" not in values["internal_sender_restrictions"]
    files = render_postfix(replace(SETTINGS, own_senders="accept"), [ACME])
    assert "own_senders" not in str(files)


@pytest.mark.parametrize(
    ("partners", "changes", "asks_helper"),
    [
        ([ACME], {}, True),
        ([ACME], {"null_sender": "tls"}, False),
        # What is only observed flows whether the helper answers or not.
        (
            [replace(ACME, mode=Mode.OBSERVE, inbound=Inbound(networks=("192.0.2.0/24",)))],
            {},
            False,
        ),
        ([], {}, False),
    ],
)
def test_the_helper_is_asked_about_the_null_sender(
    partners: list[Partner], changes: dict[str, Any], asks_helper: bool
) -> None:
    values = parameters(render_postfix(replace(SETTINGS, **changes), partners)["main.cf"])
    static, _, asked = values["partner_null_sender"].partition(" check_policy_service ")
    assert static == "check_client_access cidr:/run/tlsgate/active/partner_networks"
    assert bool(asked) == asks_helper
    if asked:
        assert re.search(r"policy_context=null-sender-[0-9a-f]{16},", asked)
        assert "default_action=reject_plaintext_session" in asked


def test_what_settings_change() -> None:
    asks = replace(ACME, inbound=Inbound(Require.CERTIFICATE, public_keys=PINS))
    settings = replace(
        SETTINGS,
        extra_ca="-----BEGIN CERTIFICATE-----\n",
        milters=("inet:spam:11332",),
        internal_tls="secure",
        internal_host="mail.corp.example",
        internal_tls_required=False,
        routes=(("b.example", "[192.0.2.9]:26"), ("a.example", "smtp:")),
        policy_host="2001:db8::5",
    )
    files = render_postfix(settings, [asks])
    values = parameters(files["main.cf"])
    assert values["smtp_tls_CAfile"] == "/run/tlsgate/active/extra-ca.pem"
    assert files["extra-ca.pem"] == settings.extra_ca
    assert values["smtpd_milters"] == "inet:spam:11332"
    assert values["smtpd_tls_ask_ccert"] == "yes"
    assert values["internal_tls_level"] == "may"
    assert "socketmap:inet:[2001:db8::5]:8461:QUERY" in values["smtp_tls_policy_maps"]
    assert "-o smtp_tls_security_level=secure\n" in files["master.cf"]
    routes = "a.example\tsmtp:\nb.example\tsmtp:[192.0.2.9]:26\n"
    assert files["routes"] == f".acme.example\tpartner:\n{routes}".replace(
        "b.ex", "acme.example\tpartner:\nb.ex"
    )


def test_without_internal_networks_there_is_no_listener_for_them() -> None:
    assert "\n2525 " in render_postfix(SETTINGS, [])["master.cf"]
    alone = replace(SETTINGS, internal_networks=())
    files = render_postfix(alone, [])
    assert "2525" not in files["master.cf"]
    # Postfix's check refuses parameters that nothing uses.
    assert "internal_" in render_postfix(SETTINGS, [])["main.cf"]
    assert "internal_" not in files["main.cf"]


def test_a_route_around_a_policy_is_refused() -> None:
    with pytest.raises(ProblemsError, match=r"acme\.example"):
        render_postfix(replace(SETTINGS, relayhost="relay.example"), [ACME])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host_name": "mx1"}, "host_name"),
        ({"host_name": "mx1.corp.example\nmynetworks = 0.0.0.0/0"}, "host_name"),
        ({"host_name": "192.0.2.1"}, "host_name"),
        ({"domains": ()}, "domains"),
        ({"domains": ("$mydomain",)}, "domains"),
        ({"internal_host": "mail server"}, "internal_host"),
        ({"internal_port": 0}, "internal_port"),
        ({"internal_tls": "dane"}, "internal_tls"),
        ({"internal_tls": "secure"}, "internal_host"),
        ({"internal_networks": ("0.0.0.0/0",)}, "open relay"),
        ({"internal_networks": ("192.0.2.1/24",)}, "host bits"),
        ({"message_size": 0}, "message_size"),
        ({"queue_lifetime": "5 days"}, "queue_lifetime"),
        ({"delay_warning": "1h\n"}, "delay_warning"),
        ({"milters": ("inet:a:1, b",)}, "milters"),
        ({"routes": (("a.example", "local:"),)}, "routes"),
        ({"routes": (("user@a.example", "[192.0.2.1]"),)}, "routes"),
        ({"routes": (("a.example", "discard:"),)}, "routes"),
        ({"relayhost": "a b"}, "relayhost"),
        ({"policy_host": "policy:1"}, "policy_host"),
        ({"public_addresses": ("mx1",)}, "public_addresses"),
        ({"inet_protocols": "ipx"}, "inet_protocols"),
        ({"extra_ca": "secret"}, "extra_ca"),
        ({"recipients": "guess"}, "recipients"),
        ({"recipient_list": ("corp.example",)}, "recipient_list"),
        ({"internal_senders": ("a@b.example\tOK",)}, "internal_senders"),
        ({"internal_senders": ("*",)}, "internal_senders"),
        ({"postmaster": "ops"}, "postmaster"),
    ],
)
def test_settings_that_postfix_must_not_see(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        replace(SETTINGS, **changes)


def test_settings_survive_json() -> None:
    settings = replace(SETTINGS, routes=(("a.example", "[192.0.2.9]"),), milters=("unix:/m",))
    assert PostfixSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    with pytest.raises(ValueError, match="colour"):
        PostfixSettings.from_dict({**settings.to_dict(), "colour": "red"})


@given(st.text(min_size=1))
def test_no_host_name_adds_a_line(name: str) -> None:
    lines = render_postfix(SETTINGS, [])["main.cf"].count("\n")
    try:
        settings = replace(SETTINGS, internal_host=name)
    except ValueError:
        return
    assert render_postfix(settings, [])["main.cf"].count("\n") == lines


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("a@b.example", True),
        ("a.b+c=d@B.EXAMPLE", True),
        ("a@xn--bcher-kva.example", True),
        ("a@b_c.example", True),
        ("a@b", False),
        ("a@b.example.", False),
        ("a@[192.0.2.1]", False),
        ("a@192.0.2.1", False),
        ("a@b@c.example", False),
        ("a@bü.example", False),
        ("a@b.example:26", False),
        ("@b.example", False),
    ],
)
def test_the_syntax_of_addresses(address: str, fits: bool) -> None:
    role, line = render_postfix(SETTINGS, [])["recipient_syntax"].splitlines()
    assert role == "/^postmaster$/ DUNNO"
    pattern = line[line.index("/") + 1 : line.rindex("/")]
    # POSIX extended expressions and Python's agree on what this one uses.
    assert bool(re.search(pattern, address, re.IGNORECASE)) == fits
