"""The rules file: read as it was written, refused if it is anything else."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

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
from tlsgate.partners.model import Allow, Direction, Inbound, Mode, Partner, Require
from tlsgate.policy.outbound import NOT_FOUND, partner_answer
from tlsgate.policy.rules import BadRules, load_rules
from tlsgate.render.partner_maps import compile_partners

LIST = (
    partner("acme.example", subdomains=True),
    partner("late.example", until_last_day(Direction.OUTBOUND, Allow.ENCRYPTED), subdomains=True),
    partner("watched.example", subdomains=True, observe=True),
    partner("alone.example"),
    partner("net.example", inbound=Inbound(Require.NETWORK, networks=("192.0.2.0/24",))),
)
RULES = rules(*LIST)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("acme.example", "NOTFOUND ", "NOTFOUND "),  # the static table has it
        ("x.acme.example", "OK secure match=nexthop:dot-nexthop", None),
        ("X.y.ACME.example", "OK secure match=nexthop:dot-nexthop", None),
        (".acme.example", "OK secure match=nexthop:dot-nexthop", None),
        (".x.acme.example", "OK secure match=nexthop:dot-nexthop", None),
        ("xacme.example", "NOTFOUND ", None),
        ("late.example", "OK encrypt", "OK secure match=late.example:.late.example"),
        ("x.late.example", "OK encrypt", "OK secure match=nexthop:dot-nexthop"),
        ("watched.example", "NOTFOUND ", None),
        ("x.watched.example", "NOTFOUND ", None),
        ("alone.example", "NOTFOUND ", None),
        ("x.alone.example", "NOTFOUND ", None),
        ("[mx.acme.example]", "NOTFOUND ", None),
        ("", "NOTFOUND ", None),
        ("example", "NOTFOUND ", None),
    ],
)
def test_answers_to_postfix(name: str, before: str, after: str | None) -> None:
    def answer(now: datetime) -> str:
        return partner_answer(RULES, name, now).decode().partition(":")[2].removesuffix(",")

    assert answer(BEFORE) == before
    assert answer(END) == (after or before)


def test_rules_that_are_not_known_are_a_temporary_failure() -> None:
    assert b":TEMP " in partner_answer(None, "acme.example", BEFORE)


@given(every_partner, st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_static_table_and_helper_together_say_what_the_record_says(
    one: Partner, naive: datetime
) -> None:
    now = naive.replace(tzinfo=UTC)
    maps = compile_partners([one])
    read = load_rules(maps.rules.to_json().encode())
    assert read.digest == maps.rules.digest
    static, wanted = dict(maps.outbound), maps.outbound_at(now)
    for domain in one.domains:
        for name in (domain, f"x.{domain}", f".x.{domain}"):
            key = domain if name == domain else f".{domain}"
            text = partner_answer(read, name, now)
            answered = static.get(name) or (
                None if text == NOT_FOUND else text.decode().partition("OK ")[2].removesuffix(",")
            )
            assert answered == wanted.get(key)
    if one.mode is Mode.ENFORCE:
        assert wanted


def changed(part: str, **change: object) -> str:
    values: dict[str, list[dict[str, Any]]] = json.loads(rules_json(*LIST))
    values[part][0] |= change
    return json.dumps(values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"outbound": [], "inbound": []}', "cannot be read: KeyError('observed')"),
        (changed("observed", partner=1).replace("observed", "seen"), "KeyError('observed')"),
        ('{"outbound": [1], "inbound": [], "observed": [], "null_senders": []}', "d, entry 0"),
        (changed("null_senders", domains="acme.example"), "null_senders, entry 0"),
        (changed("null_senders", domains=[1]), "null_senders, entry 0"),
        (changed("null_senders", plaintext_until="2026-12-25T00:00:00"), "has no time zone"),
        (changed("null_senders", domains=["alone.example"]), "alone.example is there twice"),
        (changed("outbound", key=".late.example"), "outbound: .late.example is there twice"),
        (changed("outbound", then=""), "outbound, entry 0: ValueError(\"'' is no policy\")"),
        (changed("outbound", then="may\nmay"), "outbound, entry 0"),
        (changed("outbound", periods=[["2026-12-25T00:00:00", "may"]]), "has no time zone"),
        (changed("outbound", periods=[[None, "may"]]), "a period has no end"),
        (
            changed("outbound", periods=[["2026-12-25T00:00:00+00:00", "may"]] * 2),
            "periods are not in order",
        ),
        (changed("outbound", observe="no"), "observe is not true or false"),
        (changed("inbound", require="nothing"), "inbound, entry 0: ValueError"),
        (changed("inbound", networks=[]), "nothing is registered"),
        (changed("inbound", networks=["10.0.0.1/8"]), "inbound, entry 0"),
        (changed("inbound", public_keys=["AB"]), "64 lower-case hexadecimal"),
        (changed("inbound", subdomains="no"), "subdomains is not true or false"),
        (changed("inbound", plaintext_until="soon"), "inbound, entry 0"),
        (changed("inbound", domain="watched.example"), "inbound: watched.example is there twice"),
    ],
)
def test_a_bad_file_is_refused_with_its_entry(text: str, said: str) -> None:
    with pytest.raises(BadRules, match=re.escape(said)):
        load_rules(text.encode())
