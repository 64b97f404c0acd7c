"""The demo's words, the endpoints file, and how the lab reads what Pulumi and peers say."""

import json

import pytest

from lab import plan
from lab.cases import InboundCase, OutageCase, OutboundCase
from lab.commands import changes
from lab.driver import TOKEN, message_text, new_token
from lab.endpoints import endpoints
from lab.table import render_table
from lab.trial import CaseResult

SENT = OutboundCase("good", "good.example", "sent", "TLSv1.3")


@pytest.mark.parametrize(
    ("said", "summary"),
    [
        ("Resources:\n    + 19 created\n    21 changes. 7 unchanged\n", "21 changes. 7 unchanged"),
        ("Resources:\n    28 unchanged\n", "28 unchanged"),
        ("Resources:\n    + 29 created\n\nDuration: 9s", "29 created"),
        ("", "done"),
    ],
)
def test_changes_are_told_in_pulumi_s_words(said: str, summary: str) -> None:
    assert changes(said) == summary


def test_a_token_is_found_in_its_message_and_no_two_are_the_same() -> None:
    token = new_token()
    text = message_text("a@corp.example", f"{token}@good.example", token, "TLS-Required: no")
    head, _, body = text.partition("\r\n\r\n")
    assert TOKEN.match(f"{token}@good.example")
    assert token in body
    assert "TLS-Required: no" in head.split("\r\n")
    assert token != new_token()


def test_the_table_marks_what_differs_and_says_what_was_expected() -> None:
    refused = InboundCase("partner", "good", "a@good.example", "corp.example", False, 450)
    outage = OutageCase("resolver", "good", "good.example", "held")
    lines = render_table(
        [
            CaseResult(SENT, "sent", "TLSv1.3", "", ""),
            CaseResult(SENT, "held", "", "no route", "expected sent"),
            CaseResult(refused, "450", "none", "4.7.1 Session encryption is required", ""),
            CaseResult(outage, "held, then sent", "TLSv1.3", "", ""),
        ]
    ).splitlines()
    assert lines[0].split() == ["peer", "direction", "what", "expected", "seen", "TLS", "reason"]
    assert [line[0] for line in lines[1:]] == [" ", "!", " ", " "]
    assert lines[2].endswith("expected sent; no route")
    assert "partner, plaintext" in lines[3]
    assert "held, then sent" in lines[4]


def test_endpoints_are_json_and_name_every_mailbox_capture_and_container() -> None:
    told = json.loads(json.dumps(endpoints()))
    names = [peer.name for peer in plan.PEERS]
    assert list(told["mailboxes"]) == ["internal", *names]
    assert list(told["captures"]) == names
    assert told["containers"]["lab"]["good"] == "tlsgate-lab-good"
    assert told["containers"]["gateway"]["gateway"] == "tlsgate-demo-gateway"
    assert told["gateway"]["smtp"] == {"host": "127.0.0.1", "port": 10025}
    assert told["pulumi"]["lab"]["stack"] == "lab"
