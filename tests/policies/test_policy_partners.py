"""Rules on the partner list: the compiled tables against the records, and what is due."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from policies.partners import LIST
from policies.rule import DELIVERY
from tests.policies.run_rules import check_resource
from tests.unit.partners.partner_files import load, record
from tlsgate.partners.format import canonical_json
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
from tlsgate.render.partner_maps import compile_partners
from tlsgate.tls import Strength

MAIN = """\
smtp_tls_policy_maps = lmdb:/run/tlsgate/active/partner_policy socketmap:inet:192.0.2.1:8461:QUERY
smtpd_sender_restrictions = check_sender_access lmdb:/run/tlsgate/active/partner_senders
partner_tls = reject_plaintext_session
partner_identity =
    reject_plaintext_session
    check_policy_service inet:192.0.2.1:8462
partner_dated = check_policy_service inet:192.0.2.1:8462
partner_observed = check_policy_service { inet:192.0.2.1:8462, default_action=DUNNO }
"""
TODAY = date(2026, 11, 24)
(ACME,) = load(acme=record(review="2026-12-31"))
(BETA,) = load(beta=record(name="Beta", domains="[beta.example]", subdomains="false"))
DUE = ("partner-review-due", "partner-review-overdue", "partner-exceptions")


@pytest.fixture(autouse=True)
def that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.rule.today", lambda: TODAY)


def files(*listed: Partner) -> dict[str, str]:
    """The tables as they are compiled of records that need no exception."""
    maps = compile_partners(listed)
    tables = {"partner_policy": maps.outbound, "partner_senders": maps.inbound}
    return {
        "main.cf": MAIN,
        LIST: canonical_json(listed),
        **{name: "".join(f"{k}\t{v}\n" for k, v in rows) for name, rows in tables.items()},
    }


def reported(rule: str, content: dict[str, str], **config: Any) -> list[str]:
    return check_resource(rule, (DELIVERY, {"files": content}), config)


def test_a_compiled_list_passes() -> None:
    assert reported("partner-enforced", files(ACME, BETA)) == []


OPPORTUNISTIC = "partner_policy: no entry, so the partner gets opportunistic TLS: "
TABLES: list[tuple[str, str, str, str]] = [
    *(
        (
            "partner_policy",
            "beta.example\tsecure",
            f"beta.example\t{level}",
            f"partner_policy: level {level} does not authenticate the partner: beta.example",
        )
        for level in ("none", "may", "encrypt", "dane", "verify")
    ),
    ("partner_policy", "\nbeta.example", "\n#beta.example", f"{OPPORTUNISTIC}beta.example"),
    (
        "partner_policy",
        "match=beta.example:.beta.example",
        "match=",
        "partner_policy: level secure with an empty match=: beta.example",
    ),
    (
        "partner_policy",
        "secure match=beta.example:.beta.example",
        "fingerprint",
        "partner_policy: level fingerprint with an empty match=: beta.example",
    ),
    (
        "partner_senders",
        "\nbeta.example",
        "\nother.example",
        "partner_senders: no entry, so plaintext is accepted: beta.example",
    ),
    *(
        (
            "partner_senders",
            "beta.example\tpartner_tls",
            f"beta.example\t{result}",
            f"partner_senders: {result} accepts plaintext: beta.example",
        )
        for result in ("OK", "DUNNO", "250 fine", "permit_mynetworks", "partner_observed")
    ),
    (
        "main.cf",
        "lmdb:/run/tlsgate/active/partner_policy ",
        "",
        "main.cf: smtp_tls_policy_maps does not use partner_policy first",
    ),
    (
        "main.cf",
        "check_sender_access lmdb",
        "permit_mynetworks, check_sender_access lmdb",
        "main.cf: smtpd_sender_restrictions does not use partner_senders before any permit",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "fault"), TABLES)
def test_a_table_that_enforces_less_than_the_record(
    file: str, old: str, new: str, fault: str
) -> None:
    content = files(ACME, BETA)
    assert old in content[file]
    content[file] = content[file].replace(old, new)
    assert reported("partner-enforced", content) == [fault]


OLDER = replace(BETA, tls=Strength.COMPATIBLE)
SECURE, MEDIUM = "beta.example\tsecure match=beta.example:.beta.example", " ciphers=medium"


@pytest.mark.parametrize(
    "listed",
    [
        [ACME, OLDER],
        [OLDER],
        [ACME, replace(OLDER, mode=Mode.OBSERVE)],
        [ACME, replace(OLDER, outbound=Outbound(Verify.DANE))],
        [ACME, replace(OLDER, outbound=Outbound(Verify.PIN, public_keys=("ab" * 32,)))],
        [ACME, replace(OLDER, inbound=Inbound(Require.NETWORK, networks=("192.0.2.0/24",)))],
    ],
)
def test_a_record_with_older_encryption_passes(listed: list[Partner]) -> None:
    assert reported("partner-enforced", files(*listed)) == []


ENCRYPTION: list[tuple[Partner, str, str, str, str | None]] = [
    (OLDER, "partner_policy", MEDIUM, "", None),
    (OLDER, "partner_policy", MEDIUM, " ciphers=low", "secure with ciphers=low, which the record"),
    (OLDER, "partner_policy", MEDIUM, f"{MEDIUM} ciphers=export", "ciphers=export, which the"),
    (OLDER, "partner_policy", "match=beta.example:.beta.example", "match=", "an empty match="),
    (OLDER, "partner_policy", "secure match", "encrypt match", "encrypt does not authenticate"),
    (BETA, "partner_policy", SECURE, SECURE + MEDIUM, "secure with ciphers=medium, which the"),
    (
        OLDER,
        "partner_senders",
        "acme.example\tpartner_identity",
        "acme.example\tpartner_tls",
        "partner_tls accepts older encryption, which the record does not: acme.example, .acme.",
    ),
    (OLDER, "partner_senders", "beta.example\tpartner_tls", "beta.example\tpartner_identity", None),
]


@pytest.mark.parametrize(("beta", "file", "old", "new", "fault"), ENCRYPTION)
def test_encryption_is_never_weaker_than_the_record_says(
    beta: Partner, file: str, old: str, new: str, fault: str | None
) -> None:
    content = files(ACME, beta)
    assert old in content[file]
    content[file] = content[file].replace(old, new)
    found = reported("partner-enforced", content)
    assert len(found) == bool(fault)
    assert all(str(fault) in line for line in found)


def test_subdomains_need_entries_of_their_own() -> None:
    content = files(ACME)
    lines = content["partner_policy"].splitlines()
    content["partner_policy"] = "".join(f"{one}\n" for one in lines if not one.startswith("."))
    assert reported("partner-enforced", content) == [f"{OPPORTUNISTIC}.acme.example"]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (replace(ACME, domains=()), "a partner without domains: Acme Motors AG"),
        (
            replace(ACME, outbound=Outbound(Verify.PIN)),
            "outbound.verify is pin, but no key is pinned: Acme Motors AG",
        ),
        (
            replace(ACME, outbound=Outbound(Verify.PRIVATE_CA)),
            "outbound.verify is private-ca, but no CA is given: Acme Motors AG",
        ),
        (
            replace(ACME, inbound=Inbound(Require.CERTIFICATE)),
            "inbound.require is certificate, but no key is pinned: Acme Motors AG",
        ),
        (
            replace(ACME, inbound=Inbound(Require.NETWORK)),
            "inbound.require is network, but no network is named: Acme Motors AG",
        ),
    ],
)
def test_an_empty_list_in_a_record(changed: Partner, fault: str) -> None:
    content = {**files(ACME), LIST: canonical_json([changed])}
    assert reported("partner-enforced", content) == [fault]


def exception(direction: str = "outbound", days: int = 10, by: str = "sec@corp.example") -> Any:
    until = TODAY + timedelta(days=days)
    return ExceptionRule(until, Direction(direction), Allow.ENCRYPTED, "late", by)


STRICT, NEVER = "secure match=.acme.example", "fingerprint match=00:00"


def rules(*policies: str, observe: bool = False) -> str:
    """The helper's rules of Acme: a policy for ever, and those until some time."""
    then, *until = policies
    periods = [["2026-12-25T00:00:00+00:00", policy] for policy in until]
    keys = ("acme.example", ".acme.example")
    rule = {"then": then, "periods": periods, "observe": observe}
    return json.dumps({"outbound": [{"key": key, **rule} for key in keys]})


OUTBOUND, INBOUND = (exception(direction) for direction in ("outbound", "inbound"))
DATED: list[tuple[Partner, str, str, list[str]]] = [
    (replace(ACME, mode=Mode.OBSERVE), rules("may", observe=True), "partner_observed", []),
    (ACME, rules("may", observe=True), "partner_tls", ["no entry"]),
    (ACME, rules(STRICT), "partner_tls", []),
    (ACME, rules(NEVER, STRICT), "partner_identity", []),
    (ACME, rules(STRICT, "encrypt"), "partner_tls", ["level encrypt does not"]),
    (replace(ACME, exceptions=(OUTBOUND,)), rules(STRICT, "encrypt"), "partner_tls", []),
    (replace(ACME, exceptions=(OUTBOUND,)), rules("may", "may"), "partner_tls", ["level may does"]),
    (
        replace(ACME, exceptions=(INBOUND,)),
        rules(STRICT, "encrypt"),
        "partner_dated",
        ["level encrypt does not"],
    ),
    (replace(ACME, exceptions=(INBOUND,)), rules(STRICT), "partner_dated", []),
    (replace(ACME, exceptions=(INBOUND,)), rules(STRICT), "OK", ["OK accepts plaintext"]),
    (replace(ACME, exceptions=(OUTBOUND,)), rules(STRICT), "partner_dated", ["partner_dated acc"]),
]


@pytest.mark.parametrize(("partner", "helper", "entry", "faults"), DATED)
def test_what_the_helper_answers(
    partner: Partner, helper: str, entry: str, faults: list[str]
) -> None:
    """An exception opens its own direction, and is closed after its end."""
    content = {
        "main.cf": MAIN,
        LIST: canonical_json([partner]),
        "partner_policy": "",
        "partner_senders": f"acme.example\t{entry}\n.acme.example\t{entry}\n",
        "partner_rules.json": helper,
    }
    found = [line.partition(": ")[2] for line in reported("partner-enforced", content)]
    assert [one.startswith(fault) for one, fault in zip(found, faults, strict=True)] == [
        True for _ in faults
    ]


def reviewed(*days_ago: int) -> list[Partner]:
    return [
        replace(ACME, name=f"P{number}", review=TODAY - timedelta(days=days))
        for number, days in enumerate(days_ago)
    ]


REVIEWS: list[tuple[Sequence[int], int, int]] = [
    ((-1,), 0, 0),
    ((0,), 0, 0),
    ((1,), 1, 0),
    ((60,), 1, 0),
    ((61,), 1, 1),
]


@pytest.mark.parametrize(("days", "due", "overdue"), REVIEWS)
def test_review_dates(days: Sequence[int], due: int, overdue: int) -> None:
    content = {LIST: canonical_json(reviewed(*days))}
    assert len(reported("partner-review-due", content)) == due
    assert len(reported("partner-review-overdue", content)) == overdue


def test_the_words_of_reviews() -> None:
    content = {LIST: canonical_json(reviewed(*[100] * 12))}
    day = TODAY - timedelta(days=100)
    names = ", ".join(f"P{number} ({day})" for number in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7))
    assert reported("partner-review-overdue", content, graceDays=90.0) == [
        f"more than 90 days past the review date: {names} and 2 more. Confirm the agreement and"
        " write the next date, or remove the partner"
    ]
    assert reported("partner-review-overdue", content, graceDays=100.0) == []


EXCEPTIONS: list[tuple[Any, dict[str, Any], str | None]] = [
    (exception(days=30), {}, None),
    (exception(days=31), {}, "lasts more than 30 days from today. Write 2026-12-24 or earlier"),
    (
        exception(days=8),
        {"maximumDays": 7.0},
        "lasts more than 7 days from today. Write 2026-12-01",
    ),
    (exception(by=" "), {}, "has no approver. Write approved_by"),
    (exception(by="a@corp.example"), {"approvers": ["A@corp.example"]}, None),
    (
        exception(by="b@corp.example"),
        {"approvers": ["a@corp.example"]},
        "is approved by b@corp.example, not by a@corp.example",
    ),
]


@pytest.mark.parametrize(("rule", "config", "fault"), EXCEPTIONS)
def test_exceptions(rule: ExceptionRule, config: dict[str, Any], fault: str | None) -> None:
    content = {LIST: canonical_json([replace(ACME, exceptions=(rule,))])}
    found = reported("partner-exceptions", content, **config)
    said = f"Acme Motors AG: the outbound exception until {rule.until} {fault}"
    assert [line.startswith(said) for line in found] == ([True] if fault else [])


@pytest.mark.parametrize("rule", (*DUE, "partner-enforced"))
def test_a_delivery_without_a_list_is_ignored_by_these_rules(rule: str) -> None:
    assert reported(rule, {"nginx.conf": ""}) == []
