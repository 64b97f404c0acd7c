"""One DNS record set as a value, and its master-file form (RFC 1035, section 5). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_STRING_LIMIT = 255
"""Octets of one <character-string> (RFC 1035, section 3.3)."""

_HOSTNAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)


def require_hostname(name: str) -> str:
    """The name itself if it is a canonical host name (lower-case A-labels, no final dot).

    Raises ValueError otherwise, so that no rendered file ever holds a name that its program
    would read as something else.
    """
    if not _HOSTNAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a host name: write lower-case A-labels, no final dot")
    return name


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """One record set.

    `name` is absolute, without its final dot. `ttl` is in seconds. `values` are in presentation
    form with absolute names (final dot); for TXT they are the raw text, one string a record.
    """

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]

    def rdata(self) -> tuple[str, ...]:
        """The values as a master file and dnspython take them: TXT quoted and split."""
        if self.type == "TXT":
            return tuple(quote_txt(value) for value in self.values)
        return self.values


def quote_txt(text: str) -> str:
    """Raw text as one or more quoted <character-string>s of at most 255 octets each."""
    octets = text.encode("utf-8")
    chunks = [
        octets[start : start + _STRING_LIMIT] for start in range(0, len(octets), _STRING_LIMIT)
    ] or [b""]
    return " ".join(f'"{"".join(map(_escape, chunk))}"' for chunk in chunks)


def _escape(octet: int) -> str:
    """One octet in a quoted string (RFC 1035, section 5.1)."""
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"


def zone_lines(records: Iterable[Record]) -> str:
    """Master-file lines (RFC 1035, section 5), for those whose DNS is changed by ticket."""
    return "".join(
        f"{record.name}. {record.ttl} IN {record.type} {value}\n"
        for record in records
        for value in record.rdata()
    )
