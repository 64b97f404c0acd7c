"""Notices as Postfix 3.10 makes them."""

from __future__ import annotations

from collections.abc import Sequence

from tlsgate.notices.domain_list import DomainList, PartnerDomain

BOUNDARY = "59F3ED8392.1795798686/mx1.corp.example"
CONTENT_TYPE = f'multipart/report; report-type=delivery-status;\n\tboundary="{BOUNDARY}"'
REASON = b"host mx.one.example[192.0.2.1] said: 550 5.1.1 nobody of that name"
LISTED = DomainList(
    frozenset({"corp.example", "brand.example"}),
    {
        "one.example": PartnerDomain("One", True, True),
        "one.test": PartnerDomain("One", False, True),
        "two.example": PartnerDomain("Two", False, True),
        "watched.example": PartnerDomain("Watched", True, False),
    },
    {
        "abuse@corp.example": "roles@free.example",
        "abuse@mx1.corp.example": "abuse@corp.example",
        "postmaster@mx1.corp.example": "postmaster@corp.example",
        "loop@corp.example": "loop@corp.example",
    },
)


def notice(
    recipients: Sequence[str] = ("nosuch@one.example",),
    original: bytes = b"Message-ID: <a@id.example>\r\nSubject: secret\r\n",
    original_type: bytes = b"text/rfc822-headers",
) -> bytes:
    """The body of a notice about these recipients."""
    said = b"".join(b"<%s>: %s\r\n" % (one.encode(), REASON) for one in recipients)
    blocks = b"".join(
        b"\r\nFinal-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        b"Diagnostic-Code: smtp; 550 5.1.1 nobody of\r\n    that name\r\n" % one.encode()
        for one in recipients
    )
    line = b"--" + BOUNDARY.encode()
    return b"\r\n".join(
        (
            b"This is a MIME-encapsulated message.\r\n",
            line,
            b"Content-Description: Notification\r\nContent-Type: text/plain; charset=utf-8",
            b"Content-Transfer-Encoding: 8bit\r\n\r\nThis is the mail system.\r\n",
            said,
            line,
            b"Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n",
            b"Reporting-MTA: dns; mx1.corp.example",
            b"X-Postfix-Queue-ID: 59F3ED8392\r\n" + blocks,
            line,
            b"Content-Description: Undelivered Message Headers\r\nContent-Type: " + original_type,
            b"\r\n" + original,
            line + b"--\r\n",
        )
    )
