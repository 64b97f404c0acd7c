"""Enough evidence, and each way in which it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.onboarding.observed_partner import ACME, OTHER, at, both, counted
from tlsgate.onboarding.evidence import (
    BadEvidenceError,
    EvidenceThresholds,
    read_evidence,
    shortfalls,
    summary,
)
from tlsgate.partners.model import Direction

NEVER_SEEN = (
    "The gateway does not observe `Acme Motors AG`: deploy its record with `pulumi up` first."
)
ANOTHER_RULE = (
    "outbound: the evidence is about another rule than the file has now. Deploy the file with"
    " `pulumi up`: the observation starts again."
)


def clean(messages: int, since: float = 0) -> dict[str, Any]:
    return {"messages": messages, "since": at(since)}


def out(**changes: Any) -> dict[str, Any]:
    return {**both(), "outbound": counted(**changes)}


@pytest.mark.parametrize(
    ("entry", "missing"),
    [
        pytest.param(both(), [], id="enough"),
        pytest.param(out(clean=clean(20), last=at(7)), [], id="just enough"),
        pytest.param(None, [NEVER_SEEN], id="not observed"),
        pytest.param(
            {"inbound": both()["inbound"]}, ["outbound: nothing was observed."], id="half"
        ),
        pytest.param(
            out(clean=clean(19)),
            ["outbound: 19 of 20 messages in 9 of 7 days, observed since 2026-11-10 08:00 UTC."],
            id="too few",
        ),
        pytest.param(
            out(last=at(6.99)),
            ["outbound: 30 of 20 messages in 6.9 of 7 days, observed since 2026-11-10 08:00 UTC."],
            id="too short, though never by rounding",
        ),
        pytest.param(
            out(messages=0, clean=clean(0), last=None),
            ["outbound: 0 of 20 messages in 0 of 7 days, observed since 2026-11-10 08:00 UTC."],
            id="no message",
        ),
        pytest.param(
            out(would_hold={"name": 3, "expired": 4}, clean=clean(25, 1)), [], id="clean since"
        ),
        pytest.param(
            out(would_hold={"name": 3, "expired": 4}, clean=clean(25, 6)),
            [
                "outbound: 25 of 20 messages in 3 of 7 days, counted from 2026-11-16 08:00 UTC,"
                " when the last of 7 would have been held (expired 4, name 3)."
            ],
            id="not clean for long enough",
        ),
        pytest.param(
            {
                **both(),
                "inbound": counted(Direction.INBOUND, would_hold={"no-tls": 1}, clean=clean(2, 9)),
            },
            [
                "inbound: 2 of 20 messages in 0 of 7 days, counted from 2026-11-19 08:00 UTC,"
                " when the last of 1 would have been refused (no-tls 1)."
            ],
            id="refused",
        ),
        pytest.param(out(rule="0" * 16), [ANOTHER_RULE], id="another rule"),
        pytest.param(
            out(last=at(-3)),
            ["outbound: 30 of 20 messages in 0 of 7 days, observed since 2026-11-10 08:00 UTC."],
            id="a clock that went back",
        ),
    ],
)
def test_what_is_missing(entry: dict[str, Any] | None, missing: list[str]) -> None:
    evidence = read_evidence(json.dumps({"Acme Motors AG": entry} if entry else {}))
    assert list(shortfalls(ACME, evidence.get(ACME.name), EvidenceThresholds())) == missing


def test_both_directions_are_reported_together() -> None:
    evidence = read_evidence(json.dumps({"A": both(clean=clean(1))}))
    directions = [
        text.partition(":")[0] for text in shortfalls(ACME, evidence["A"], EvidenceThresholds())
    ]
    assert directions == ["outbound", "inbound"]


def test_thresholds_can_be_set() -> None:
    evidence = read_evidence(json.dumps({"A": both()}))["A"]
    assert len(shortfalls(ACME, evidence, EvidenceThresholds(days=10))) == 2
    assert len(shortfalls(ACME, evidence, EvidenceThresholds(outbound=31))) == 1
    assert shortfalls(ACME, evidence, EvidenceThresholds(9, 30, 30)) == ()


def test_evidence_for_an_old_rule_does_not_count() -> None:
    evidence = read_evidence(json.dumps({"A": both()}))["A"]
    assert shortfalls(OTHER, evidence, EvidenceThresholds(0, 0, 0)) == (ANOTHER_RULE,)


def test_summary() -> None:
    evidence = read_evidence(json.dumps({"A": both()}))["A"]
    assert summary(evidence) == "outbound 30 messages in 9 days, inbound 30 messages in 9 days"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"A": 1}',
        '{"A": {"sideways": {}}}',
        json.dumps({"A": {"outbound": {}}}),
        json.dumps({"A": out(messages="30")}),
        json.dumps({"A": out(messages=True)}),
        json.dumps({"A": out(messages=-1)}),
        json.dumps({"A": out(would_hold=[])}),
        json.dumps({"A": out(clean={"messages": 3})}),
        json.dumps({"A": out(last="2026-11-24T08:00:00")}),
        json.dumps({"A": out(last="soon")}),
    ],
)
def test_text_in_another_format_is_refused(text: str) -> None:
    with pytest.raises(BadEvidenceError):
        read_evidence(text)
