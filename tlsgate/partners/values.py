"""Parsers of the record's values: from the string in the file to a canonical value, or an error.

A parser takes the string as written and raises `InvalidValueError`. Its message is read after
the string itself: "`example.com.` ends with a dot".
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import TypeVar

from tlsgate.partners.domains import domain_fault, host_fault, is_public_suffix
from tlsgate.problems import visible

E = TypeVar("E", bound=StrEnum)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NAME_LENGTH = 100
REASON_LENGTH = 500
WIDEST_NETWORK = {4: 12, 6: 28}
"""The shortest prefix allowed, by IP version. A wider block belongs to several operators."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_HEX_PIN = re.compile(r"[0-9a-f]{64}")
_COLON_HEX_PIN = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){31}")
_PIN_PREFIX = re.compile(r"sha-?256(?://|[:=])", re.IGNORECASE)


class InvalidValueError(Exception):
    """A value is not valid for its key."""

    def __init__(self, code: str, message: str, remedy: str, *, quoted: bool = True) -> None:
        super().__init__(code, message, remedy)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.quoted = quoted
        """Whether the message shows the value itself: not if it may contain a secret."""


def parse_text(limit: int) -> Callable[[str], str]:
    """Return a parser of one line of printable text."""

    def parse(text: str) -> str:
        if not any(char.isalnum() for char in text):
            raise InvalidValueError(
                "bad-text", "has no letters or digits", "Write at least one word"
            )
        if not text.isprintable():
            remedy = f"Write it without them: {visible(text)[:limit]}"
            raise InvalidValueError("bad-text", "contains unprintable characters", remedy)
        if text != text.strip():
            raise InvalidValueError(
                "bad-text", "starts or ends with a space", f"Write {text.strip()[:limit]}"
            )
        if len(text) > limit:
            raise InvalidValueError("bad-text", f"is longer than {limit} characters", "Shorten it")
        return text

    return parse


def parse_address(text: str) -> str:
    """Return a mail address with a canonical domain (the local part in ASCII, unquoted)."""
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local) or len(local) > 64:
        remedy = "Write one address, such as postmaster@acme.example"
        raise InvalidValueError("bad-address", "is not a mail address", remedy)
    fault = domain_fault(domain)
    if fault:
        raise InvalidValueError("bad-address", f"has a domain that {fault[0]}", fault[1])
    return text


def parse_date(text: str) -> date:
    """Return an ISO 8601 calendar date."""
    if not _DATE.fullmatch(text):
        remedy = "Write year-month-day, such as 2026-10-01"
        raise InvalidValueError("bad-date", "is not a date", remedy)
    try:
        return date.fromisoformat(text)
    except ValueError:
        remedy = "Write a day of the calendar, as year-month-day"
        raise InvalidValueError("bad-date", "is not a real date", remedy) from None


def default_review(agreed: date) -> date:
    """Return the review date that a new record gets: one year after the agreement.

    For 29 February, this is 28 February.
    """
    day = min(agreed.day, 28) if agreed.month == 2 else agreed.day
    return agreed.replace(year=agreed.year + 1, day=day)


def parse_domain(text: str) -> str:
    """Return a canonical mail domain that an organisation can own."""
    fault = domain_fault(text)
    if fault:
        raise InvalidValueError("bad-domain", *fault)
    return text


def parse_mx_name(text: str) -> str:
    """Return a host name, or `.name` for any name below it."""
    if text.startswith("*."):
        remedy = f"Write {visible(text[1:])}: the leading dot accepts any name below it"
        raise InvalidValueError("bad-mx", "has a wildcard", remedy)
    name = text.removeprefix(".")
    fault = host_fault(name)
    if fault:
        message, remedy = fault
        raise InvalidValueError(
            "bad-mx", message, remedy + (", after the dot" if name != text else "")
        )
    if is_public_suffix(name):
        remedy = "Write the name of the partner's own mail servers, such as .mail.acme.example"
        raise InvalidValueError(
            "bad-mx", "is a public suffix: it would accept other organisations' names", remedy
        )
    return text


def parse_network(text: str) -> str:
    """Return a canonical CIDR block."""
    try:
        network: Network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        remedy = "Write a CIDR block, such as 192.0.2.0/28 or 2001:db8:1::/48"
        raise InvalidValueError("bad-network", "is not a network", remedy) from None
    widest = WIDEST_NETWORK[network.version]
    if network.prefixlen < widest:
        remedy = "Write the blocks that contain the partner's mail servers"
        raise InvalidValueError("bad-network", f"is wider than /{widest}", remedy)
    if network.is_loopback or network.is_multicast or network.is_link_local:
        remedy = "Write the partner's public addresses"
        raise InvalidValueError(
            "bad-network", "is a loopback, link-local or multicast block", remedy
        )
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise InvalidValueError("bad-network", "is an IPv4-mapped block", "Write it as IPv4")
    if str(network) != text:
        raise InvalidValueError("bad-network", "is not in its canonical form", f"Write {network}")
    return text


def parse_public_key(text: str) -> str:
    """Return the SHA-256 of an SPKI in lower-case hex.

    Accepts hex, hex with colons, and base64, each with or without the prefix `sha256//` or
    `sha256:`.
    """
    pin = _PIN_PREFIX.sub("", text, count=1) if text[:3].lower() == "sha" else text
    lower = pin.lower()
    if _HEX_PIN.fullmatch(lower):
        return lower
    if _COLON_HEX_PIN.fullmatch(lower):
        return lower.replace(":", "")
    try:
        raw = base64.b64decode(pin, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) == 32 and base64.b64encode(raw).decode("ascii") == pin:
        return raw.hex()
    raise InvalidValueError(
        "bad-public-key",
        "is not the SHA-256 of a public key",
        "Write the 64 hex digits of the SPKI's SHA-256: `openssl x509 -in cert.pem -noout -pubkey"
        " | openssl pkey -pubin -outform DER | sha256sum`",
    )


def parse_choice(choices: type[E]) -> Callable[[str], E]:
    """Return a parser of one of the enum's words."""
    words = [choice.value for choice in choices]

    def parse(text: str) -> E:
        if text in words:
            return choices(text)
        near = difflib.get_close_matches(text.lower(), words, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Write {' or '.join(words)}"
        raise InvalidValueError("bad-choice", f"is not one of {', '.join(words)}", remedy)

    return parse
