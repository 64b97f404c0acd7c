"""`postqueue -j`, the times of the next attempts, and Postfix's time parameters."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.queue.gateway_words import ARRIVED, QUEUE, held_mail
from tlsgate.queue.entries import HeldRecipient, read_queue, read_tries, seconds


def test_every_recipient_of_every_message() -> None:
    found = held_mail()
    assert len(found) == sum(len(json.loads(line)["recipients"]) for line in QUEUE)
    of_three = [one for one in found if one.id == "AD990CA53A"]
    assert [one.recipient for one in of_three] == [
        "a@plain.example",
        "b@plain.example",
        "c@expired.example",
    ]
    assert of_three[2] == HeldRecipient(
        "AD990CA53A",
        "deferred",
        ARRIVED,
        "sender@corp.example",
        "c@expired.example",
        "delivery temporarily suspended: Server certificate not verified",
    )


def test_without_an_attempt_there_is_no_reason() -> None:
    slow = [one for one in held_mail() if one.recipient == "y2@slow.example"]
    assert [one.said for one in slow] == [""]


@pytest.mark.parametrize(
    ("recipient", "domain"),
    [("a@Acme.Example", "acme.example"), ('"a@b"@x.example.', "x.example"), ("root", "root")],
)
def test_domain(recipient: str, domain: str) -> None:
    assert HeldRecipient("A", "hold", ARRIVED, "", recipient, "").domain == domain


@pytest.mark.parametrize("line", ["{}", "[]", "3", "{", '{"arrival_time": 1e99}', "[" * 100_000])
def test_what_postfix_does_not_print(line: str) -> None:
    with pytest.raises(ValueError, match=r"postqueue printed|Expecting|maximum"):
        list(read_queue([line]))


@given(st.lists(st.text()))
def test_anything_else_is_one_kind_of_error(lines: list[str]) -> None:
    with contextlib.suppress(ValueError):
        list(read_queue(lines))


def test_tries() -> None:
    lines = ["84955CA4FE 1795798313.1230000000", "find: x", "B 99999999999999", "", "C 0"]
    assert read_tries(lines) == {
        "84955CA4FE": datetime(2026, 11, 27, 16, 51, 53, tzinfo=UTC),
        "C": datetime(1970, 1, 1, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4000s", 4000), ("5d\n", 432_000), ("300", 300), ("2h", 7200), ("1m", 60), ("1w", 604_800)],
)
def test_seconds(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "d", "5y", "-1s", "$x"])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        seconds(text)
