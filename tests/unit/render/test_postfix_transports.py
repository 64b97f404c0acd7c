"""The outbound classes of mail: where it goes, what each demands, and which failures are final."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from tests.unit.render.test_partner_maps import ACME
from tests.unit.render.test_postfix import SETTINGS, parameters, services
from tlsgate.partners.model import Allow, Direction, ExceptionRule, Mode
from tlsgate.render.postfix import render_postfix
from tlsgate.tls import Strength, cipher_list

DATED = replace(
    ACME,
    name="Dated",
    domains=("dated.example",),
    exceptions=(
        ExceptionRule(
            date(2026, 12, 24), Direction.OUTBOUND, Allow.PLAINTEXT, "late", "a@b.example"
        ),
    ),
)
WATCHED = replace(ACME, name="Watched", domains=("watched.example",), mode=Mode.OBSERVE)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({}, {}),
        ({"else.example": "[192.0.2.9]"}, {"else.example": "smtp:[192.0.2.9]"}),
        # Routes of a partner's names that change nothing mean the partner's own transport.
        ({"acme.example": "smtp:"}, {}),
        ({"x.acme.example": "smtp:"}, {"x.acme.example": "partner:"}),
        ({".y.acme.example": "smtp:"}, {".y.acme.example": "partner:"}),
        ({"x.dated.example": "smtp:"}, {"x.dated.example": "partner-dated:"}),
        (
            {"*": "[192.0.2.9]", **dict.fromkeys(("acme.example", ".acme.example"), "smtp:")}
            | dict.fromkeys(("dated.example", ".dated.example"), "smtp:")
            | dict.fromkeys(("watched.example", ".watched.example"), "smtp:"),
            {"*": "smtp:[192.0.2.9]", "watched.example": "smtp:", ".watched.example": "smtp:"},
        ),
    ],
)
def test_partners_mail_has_a_way_of_its_own(
    routes: dict[str, str], expected: dict[str, str]
) -> None:
    settings = replace(SETTINGS, routes=tuple(routes.items()))
    files = render_postfix(settings, [ACME, DATED, WATCHED])
    table = dict(line.split("\t") for line in files["routes"].splitlines())
    own = {"acme.example": "partner:", "dated.example": "partner-dated:"}
    assert table == {**expected, **own, **{f".{key}": value for key, value in own.items()}}


@pytest.mark.parametrize(
    ("service", "strict", "maps"),
    [
        ("partner unix", True, "lmdb:/run/tlsgate/active/partner_policy"),
        (
            "partner-dated unix",
            True,
            r"lmdb:\S+/partner_policy socketmap:\S+:partners-[0-9a-f]{16}",
        ),
        ("internal unix", False, ""),
        ("address-check unix", False, ""),
        ("smtp unix", False, r".* socketmap:\S+:QUERY"),
        ("null-sender unix", False, r".* socketmap:\S+:QUERY"),
        ("notice unix", True, r"lmdb:\S+/partner_policy socketmap:\S+:NOTICE"),
    ],
)
def test_what_each_class_of_mail_demands(service: str, strict: bool, maps: str) -> None:
    files = render_postfix(SETTINGS, [ACME, DATED])
    values = parameters(files["main.cf"])
    found = services(files["master.cf"])
    options = found[service]

    def in_force(name: str, options: dict[str, str]) -> str:
        value = options.get(name, values.get(name, ""))
        return values[value[1:]] if value.startswith("$") else value

    assert re.fullmatch(maps, in_force("smtp_tls_policy_maps", options))
    proxy = found[f"{options['tlsproxy_service_name']} unix"]
    for part in (options, proxy):
        suites = in_force("tls_high_cipherlist", part).split(":")
        assert (suites == cipher_list(Strength.STRONG).split(":")) == strict
        compatible = in_force("tls_medium_cipherlist", part)
        assert (compatible == cipher_list(Strength.COMPATIBLE)) == strict
        assert in_force("tls_config_name", part) == ("tlsgate" if strict else "")
        # The widest suites are for a partner's exception that allows plaintext, and nothing else.
        null = in_force("tls_null_cipherlist", part)
        assert (null == values["others_ciphers"]) == (service == "partner-dated unix")
    if strict:
        assert options["smtp_tls_security_level"] == "secure"
        assert options["smtp_tls_servername"] == "hostname"
    # tlsproxy(8) refuses what its client demands if its own settings are others.
    assert {k: v for k, v in options.items() if k.startswith("tls_")} == {
        k: v for k, v in proxy.items() if k.startswith("tls_")
    }


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        ("5.1.0 Domain nullmx.example does not accept mail (nullMX)", "4.1.0"),
        ("5.4.4 Host or domain name not found. Name service error for name=x type=A: x", "4.4.4"),
        ("5.4.6 mail for loop.example loops back to myself", "4.4.6"),
        ("5.0.0 host mx.a.example[192.0.2.1] refused to talk to me: 554 5.0.0 no", "4.0.0"),
        ("5.7.5 Server certificate not verified", "4.7.5"),
        (
            "5.0.0 host a refused to talk to me: 554 host b[192.0.2.1] said: 5 (in reply to x)",
            "4.0.0",
        ),
        ("5.1.1 host a[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command)", None),
        ("5.7.1 host a[2001:db8::1] said: 554 spam (in reply to end of DATA command)", None),
        # The limit may have been said in plaintext.
        ("5.3.4 message size 9 exceeds size limit 5 of server a[192.0.2.1]", "4.3.4"),
        ("4.4.1 connect to a[192.0.2.1]:25: Connection refused", None),
        ("2.0.0 250 stored", None),
    ],
)
def test_only_the_verified_server_refuses_for_good(status: str, becomes: str | None) -> None:
    lines = render_postfix(SETTINGS, [])["verified_status"].splitlines()
    *unless, (pattern, value) = (line.rpartition("/")[::2] for line in lines if "/" in line)
    final = any(re.search(condition[len("if !/") :], status) for condition, _ in unless)
    found = None if final else re.search(pattern[1:], status)
    assert value == " 4$1"
    assert (f"4{found[1]}" if found else None) == (f"{becomes}{status[5:]}" if becomes else None)
