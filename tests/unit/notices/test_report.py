from __future__ import annotations

import email
import re
import string
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notices.parts import BOUNDARY, CONTENT_TYPE, LISTED, REASON, notice
from tlsgate.notices.decision import BODY_LIMIT, ContentChange, decide
from tlsgate.notices.report import Unreadable, read_report, reduced

WORD = b"sEcReT"
LINE = b"--" + BOUNDARY.encode()


def parsed(body: bytes) -> Message:
    return email.message_from_bytes(b"Content-Type: " + CONTENT_TYPE.encode() + b"\r\n\r\n" + body)


def leaves(body: bytes) -> list[Message]:
    return [part for part in parsed(body).get_payload() if isinstance(part, Message)]


def test_text_and_status_are_kept_octet_by_octet() -> None:
    body = notice()
    new = reduced(read_report(CONTENT_TYPE, body))
    begin, end = body.index(LINE), body.index(b"Content-Description: Undelivered")
    assert new.startswith(body[begin:end])
    assert new.endswith(b"\r\nMessage-ID: <a@id.example>\r\n\r\n" + LINE + b"--\r\n")


@pytest.mark.parametrize(
    ("original", "kept"),
    [
        (b"Message-ID: <a@b.example>\r\nDate: Fri, 27 Nov 2026 10:00:00 +0100\r\nSubject: x\r\n",
         b"Message-ID: <a@b.example>\r\nDate: Fri, 27 Nov 2026 10:00:00 +0100\r\n"),
        (b"Message-ID:\r\n <folded@b.example>\r\n", b"Message-ID: <folded@b.example>\r\n"),
        (b"message-id: <a@b.example>\r\nMessage-ID: <c@d.example>\r\n",
         b"Message-ID: <a@b.example>\r\n"),
        (b"Message-ID: <a@b.example> secret\r\n", b""),
        (b"Message-ID: <a secret@b.example>\r\n", b""),
        (b"Message-ID: <a@b.example>\r\n secret\r\n", b""),
        (b"Message-ID: <" + b"a" * 251 + b">\r\n", b""),
        ("Message-ID: <gemäß@b.example>\r\n".encode(), b""),
        (b"Date: Fri, 27 Nov 2026 10:00:00 +0100 (secret)\r\n",
         b"Date: Fri, 27 Nov 2026 10:00:00 +0100\r\n"),
        (b"Date: 27 Nov 2026 10:00 -0000\r\n", b"Date: Fri, 27 Nov 2026 10:00:00 -0000\r\n"),
        (b"Date: secret\r\n", b""),
        (b"Date: Fri, 99 Nov 2026 10:00:00 +0100\r\n", b""),
        (b"\r\nMessage-ID: <of-the-body@b.example>\r\n", b""),
        (b"", b""),
    ],
)  # fmt: skip
def test_of_the_message_only_message_id_and_date_are_kept(original: bytes, kept: bytes) -> None:
    new = reduced(read_report(CONTENT_TYPE, notice(original=original)))
    assert new.endswith(b"text/rfc822-headers\r\n\r\n" + kept + b"\r\n" + LINE + b"--\r\n")


_CUT = notice().index(LINE + b"--")
_HEAD = notice().index(LINE + b"\r\nContent-Description: Undelivered")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", notice()),
        ("text/plain", notice()),
        ("multipart/mixed; boundary=x", notice()),
        ("multipart/report; report-type=delivery-status", notice()),
        (CONTENT_TYPE.replace("mx1", "mx2"), notice()),
        ('multipart/report; boundary="ä"', notice()),
        (CONTENT_TYPE, b""),
        (CONTENT_TYPE, notice()[:_HEAD]),
        (CONTENT_TYPE, notice(recipients=())),
        (CONTENT_TYPE, notice().replace(LINE + b"\r\n", LINE + b"--\r\n", 1)),
        (CONTENT_TYPE, notice().replace(b"message/delivery-status", b"message/rfc822")),
        (CONTENT_TYPE, notice().replace(b"message/delivery-status", b"text/plain")),
        (CONTENT_TYPE, notice().replace(b"text/plain", b"multipart/mixed; boundary=y")),
        (CONTENT_TYPE, notice().replace(b"text/plain", b"message/rfc822")),
        (CONTENT_TYPE, notice().replace(b"Status: 5.1.1", b"no field")),
    ],
)
def test_what_postfix_does_not_make_is_not_read(content_type: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_report(content_type, body)


@pytest.mark.parametrize("cut", [_HEAD + len(LINE) + 2, _HEAD + 60, _CUT - 3, _CUT])
def test_the_beginning_of_a_long_notice_is_enough(cut: int) -> None:
    report = read_report(CONTENT_TYPE, notice()[:cut])
    assert report.recipients == ("nosuch@one.example",)
    assert reduced(report).endswith(LINE + b"--\r\n")


# The secret stands wherever a sender can write, between anything that may mean something.
_HOSTILE = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b": ", b"--"),
                *(LINE, LINE + b"--", LINE + b"\r\n"),
            ]
        ),
        st.sampled_from(
            [
                b"Content-Type: text/plain\r\n",
                b"Content-Type: message/delivery-status\r\n",
                b"Final-Recipient: rfc822; x@free.example\r\n",
                b"X-Tlsgate-Notice: protected\r\n",
                b"=?utf-8?q?",
                b"Message-ID: <a@id.example>\r\n",
                b"Date: Fri, 27 Nov 2026 10:00:00 +0100\r\n",
            ]
        ),
        st.just(WORD),
        st.builds(lambda name: name.encode() + b": " + WORD, st.sampled_from(
            ["Subject", "From", "To", "X-Any", "Received", "Date", "References"]
        )),
    ),
    max_size=12,
).map(b"".join)  # fmt: skip
_RECIPIENTS = st.lists(
    st.text(string.ascii_lowercase, min_size=1, max_size=8).map(lambda name: f"{name}@one.example"),
    min_size=1,
    max_size=5,
)


@given(_RECIPIENTS, _HOSTILE, st.sampled_from([b"text/rfc822-headers", b"message/rfc822"]))
def test_nothing_of_a_message_leaves_in_a_notice(
    recipients: list[str], original: bytes, kind: bytes
) -> None:
    body = notice(recipients, b"Subject: " + WORD + b"\r\n" + original, kind)
    decision = decide(LISTED, ["<u@free.example>"], CONTENT_TYPE, body)
    assert decision.outcome is ContentChange.REDUCED
    assert decision.protect
    new = decision.body or b""
    # A Message-ID has a form and no words: what fits it is one.
    assert WORD not in re.sub(rb"\r\nMessage-ID: <[!-~]+>\r\n", b"", new)
    text, status, headers = leaves(new)
    assert parsed(new).get_content_type() == "multipart/report"
    assert text.get_payload(decode=True).count(REASON) == len(recipients)  # type: ignore[union-attr]
    fields = [block["Final-Recipient"] for block in status.walk() if block["Final-Recipient"]]
    assert fields == [f"rfc822; {one}" for one in recipients]
    assert set(email.message_from_string(str(headers.get_payload())).keys()) <= {
        "Message-ID",
        "Date",
    }


@given(st.binary(max_size=400), st.text(max_size=60))
def test_whatever_comes_is_decided(body: bytes, content_type: str) -> None:
    decision = decide(LISTED, ["<u@free.example>"], content_type, body + WORD)
    assert decision.outcome is ContentChange.UNREADABLE
    assert decision.protect
    assert WORD not in (decision.body or WORD)


def test_a_notice_beyond_the_limit_holds_nothing() -> None:
    many = [f"nobody-{number}@free.example" for number in range(BODY_LIMIT // 100)]
    decision = decide(LISTED, ["<u@free.example>"], CONTENT_TYPE, notice(many))
    assert decision.outcome is ContentChange.UNREADABLE
