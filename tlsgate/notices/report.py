"""A notice as Postfix makes it (RFC 3464, RFC 6522), read and reduced. Pure.

A multipart/report has three parts: a text for people, the delivery status, and what there was of
the message. The first two are Postfix's own words and are kept octet by octet; whatever follows is
replaced as a whole, so that nothing depends on how the message's own content is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import format_datetime, parsedate_to_datetime
from itertools import pairwise

UNREADABLE_TYPE = "text/plain; charset=us-ascii"
UNREADABLE_BODY = (
    b"This is the mail system of this gateway.\r\n"
    b"\r\n"
    b"A message of yours was not delivered, is delayed, or was delivered. The report\r\n"
    b"about it is not shown here: it concerns mail that this gateway protects, or it\r\n"
    b"could not be read. Ask the postmaster of this gateway for the details.\r\n"
)
"""What is left of a notice that cannot be read."""

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_RECIPIENT_FIELDS = ("Final-Recipient", "Original-Recipient")
_PARTS_KEPT = 2


class Unreadable(ValueError):
    """Not a notice as Postfix makes it, or more of it than is looked at."""


@dataclass(frozen=True, slots=True)
class Report:
    """`text`, `status`: the first two parts with their headers. `rest`: all that follows.

    `recipients`: the addresses that the delivery status names, as they stand there.
    """

    boundary: bytes
    text: bytes
    status: bytes
    rest: bytes
    recipients: tuple[str, ...]


def read_report(content_type: str, body: bytes) -> Report:
    """The notice with this Content-Type and (the beginning of) this body. Raises Unreadable."""
    boundary = _boundary(content_type)
    marks = list(_delimiters(boundary, body))
    if len(marks) <= _PARTS_KEPT or any(mark["last"] for mark in marks[:_PARTS_KEPT]):
        raise Unreadable("the notice has no text and delivery status")
    text, status = (
        _without_line_end(body[one.end() : other.start()])
        for one, other in pairwise(marks[: _PARTS_KEPT + 1])
    )
    if (kind := _parsed(text).get_content_type()) != "text/plain":
        raise Unreadable(f"the notice's first part is {kind}")
    rest = body[marks[_PARTS_KEPT].end() :]
    return Report(boundary, text, status, rest, _recipients(status))


def reduced(report: Report) -> bytes:
    """The notice's body with nothing of the message but its Message-ID and Date."""
    line = b"\r\n--" + report.boundary
    original = b"".join(
        b"%s: %s\r\n" % (name.encode("ascii"), value.encode("ascii"))
        for name, value in _identification(report.rest)
    )
    parts = (
        report.text,
        report.status,
        b"Content-Description: Undelivered Message Headers, reduced\r\n"
        b"Content-Type: text/rfc822-headers\r\n\r\n" + original,
    )
    return b"".join(line + b"\r\n" + part for part in parts)[2:] + line + b"--\r\n"


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary("")
    if header.get_content_type() != "multipart/report" or not boundary:
        raise Unreadable("the notice is not a multipart/report")
    try:
        return boundary.encode("ascii")
    except UnicodeError as fault:
        raise Unreadable("the notice's boundary is not ASCII") from fault


def _delimiters(boundary: bytes, body: bytes) -> Iterator[re.Match[bytes]]:
    """The lines between the parts (RFC 2046, section 5.1.1)."""
    escaped = re.escape(boundary)
    return re.finditer(rb"^--" + escaped + rb"(?P<last>--)?[ \t]*(?:\r?\n|\Z)", body, re.M)


def _without_line_end(part: bytes) -> bytes:
    """The end of the line before a delimiter belongs to the delimiter."""
    return part.removesuffix(b"\n").removesuffix(b"\r")


def _parsed(part: bytes) -> Message:
    message = BytesParser().parsebytes(part)
    if any(one.defects for one in message.walk()):
        raise Unreadable("a part of the notice is not well-formed")
    return message


def _recipients(status: bytes) -> tuple[str, ...]:
    message = _parsed(status)
    if message.get_content_type() != "message/delivery-status":
        raise Unreadable(f"the notice's second part is {message.get_content_type()}")
    found = [
        str(value).partition(";")[2].strip()
        for block in message.walk()
        for field in _RECIPIENT_FIELDS
        for value in block.get_all(field, ())
    ]
    if not found:
        raise Unreadable("the delivery status names no recipient")
    return tuple(found)


def _identification(rest: bytes) -> Iterator[tuple[str, str]]:
    """Message-ID and Date, each only in its own form: nothing else fits through."""
    headers = BytesHeaderParser().parsebytes(re.split(rb"\r?\n\r?\n", rest, maxsplit=1)[-1])
    identifier = str(headers.get("Message-ID", "")).strip()
    if _MESSAGE_ID.fullmatch(identifier):
        yield "Message-ID", identifier
    try:
        yield "Date", format_datetime(parsedate_to_datetime(str(headers["Date"])))
    except (ValueError, TypeError, IndexError, OverflowError):
        return
