from __future__ import annotations

import pytest

from tests.unit.notices.parts import CONTENT_TYPE, LISTED, notice
from tlsgate.notices.decision import ContentChange, decide
from tlsgate.notices.report import UNREADABLE_BODY, UNREADABLE_TYPE

AS_MADE, REDUCED = (ContentChange.UNCHANGED, False), (ContentChange.REDUCED, False)
PROTECTED = (ContentChange.REDUCED, True)
NOTHING = (ContentChange.UNREADABLE, True)


@pytest.mark.parametrize(
    ("receiver", "about", "expected"),
    [
        # To an own domain: whatever it is about.
        ("a@corp.example", ["x@one.example"], AS_MADE),
        ("a@BRAND.example", ["x@one.example"], AS_MADE),
        # A subdomain is another domain.
        ("a@sub.corp.example", ["x@one.example"], PROTECTED),
        # An address that is replaced goes where the other one is.
        ("Abuse@corp.example", ["x@one.example"], PROTECTED),
        ("abuse@mx1.corp.example", ["x@one.example"], PROTECTED),
        ("postmaster@mx1.corp.example", ["x@one.example"], AS_MADE),
        ("loop@corp.example", ["x@one.example"], AS_MADE),
        # To an outsider.
        ("a@free.example", ["x@one.example"], PROTECTED),
        ("a@free.example", ["x@ONE.example"], PROTECTED),
        ("a@free.example", ["x@one.example."], PROTECTED),
        ("a@free.example", ["x@deep.sub.one.example"], PROTECTED),
        ("a@free.example", ["x@two.example"], PROTECTED),
        ("a@free.example", ["x@sub.two.example"], AS_MADE),
        ("a@free.example", ["x@notone.example"], AS_MADE),
        ("a@free.example", ["x@watched.example"], PROTECTED),
        ("a@free.example", ["x@other.example", "y@one.example"], PROTECTED),
        ("a@free.example", ["x@other.example"], AS_MADE),
        ('"a@corp.example"@free.example', ["x@one.example"], PROTECTED),
        ('a@free.example', ['"x@other.example"@one.example'], PROTECTED),
        # To a partner: its own policy, if that is as strict.
        ("a@one.example", ["x@corp.example"], REDUCED),
        ("a@sub.one.example", ["x@two.example"], REDUCED),
        ("a@watched.example", ["x@corp.example"], REDUCED),
        ("a@watched.example", ["x@sub.watched.example"], REDUCED),
        ("a@watched.example", ["x@one.example"], PROTECTED),
        # An address without a domain could be anybody's.
        ("a@free.example", ["x"], NOTHING),
        ("a@free.example", ["x@a..b"], NOTHING),
        ("a", ["x@other.example"], NOTHING),
        ("", ["x@other.example"], NOTHING),
    ],
)  # fmt: skip
def test_decision(receiver: str, about: list[str], expected: tuple[ContentChange, bool]) -> None:
    decision = decide(LISTED, [f"<{receiver}>"], CONTENT_TYPE, notice(about))
    assert (decision.outcome, decision.protect) == expected
    assert (decision.body is None) == (decision.outcome is ContentChange.UNCHANGED)
    assert decision.content_type == (UNREADABLE_TYPE if expected == NOTHING else None)


def test_the_original_recipient_counts_too() -> None:
    body = notice(["x@other.example"]).replace(
        b"Action:", b"Original-Recipient: rfc822;y@one.example\r\nAction:"
    )
    assert decide(LISTED, ["<a@free.example>"], CONTENT_TYPE, body).outcome is ContentChange.REDUCED


@pytest.mark.parametrize(
    ("receivers", "protect"),
    [
        ([], True),
        (["<a@free.example>"], True),
        (["<a@corp.example>", "<a@free.example>"], True),
        (["<a@watched.example>"], True),
        (["<a@one.example>"], False),  # its own policy is one of a partner
    ],
)
def test_what_cannot_be_read_holds_nothing(receivers: list[str], protect: bool) -> None:
    decision = decide(LISTED, receivers, "text/plain", b"Subject: secret\r\n")
    assert (decision.outcome, decision.protect) == (ContentChange.UNREADABLE, protect)
    assert (decision.body, decision.content_type) == (UNREADABLE_BODY, UNREADABLE_TYPE)


def test_to_an_own_domain_goes_even_what_cannot_be_read() -> None:
    assert decide(LISTED, ["<a@corp.example>"], "", b"").outcome is ContentChange.UNCHANGED


def test_one_of_several_receivers_is_enough_to_protect() -> None:
    receivers = ["<a@one.example>", "<a@free.example>"]
    assert decide(LISTED, receivers, CONTENT_TYPE, notice()).protect


def test_the_reason_holds_no_content() -> None:
    decision = decide(LISTED, ["<a@free.example>"], "text/plain", b"secret")
    assert decision.reason == "the notice is not a multipart/report"
