"""The MTA-STS policy and its TXT record's value (RFC 8461, sections 3.1 and 3.2).

The record's id is derived from the policy's text: it changes exactly when the policy does, and
the same policy has the same id on every machine.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

MODES = ("enforce", "testing", "none")
MAX_AGE_LIMIT = 31_557_600
"""Seconds; RFC 8461, section 3.2 allows no more (about one year)."""

_MX_PATTERN = re.compile(
    r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
_ID_LENGTH = 32


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """One policy, the same for every domain that the gateway receives for.

    `mode`: enforce, testing or none. `max_age`: seconds a sender may keep the policy, 0 to
    `MAX_AGE_LIMIT`. `mx`: lower-case host names, or `*.` before a domain for exactly one label.
    Raises ValueError on anything that RFC 8461 does not allow.
    """

    mode: str
    max_age: int
    mx: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"MTA-STS mode is {self.mode!r}: write one of {', '.join(MODES)}")
        if not 0 <= self.max_age <= MAX_AGE_LIMIT:
            raise ValueError(
                f"MTA-STS max_age is {self.max_age}: write seconds from 0 to {MAX_AGE_LIMIT}"
            )
        if not self.mx and self.mode != "none":
            raise ValueError(f"an MTA-STS policy in mode {self.mode} names at least one mx")
        for pattern in self.mx:
            if not _MX_PATTERN.fullmatch(pattern):
                raise ValueError(
                    f"MTA-STS mx is {pattern!r}: write a lower-case host name, or *.domain"
                )


def policy_text(settings: PolicySettings) -> str:
    """The body of /.well-known/mta-sts.txt, every line ended by CRLF."""
    lines = ["version: STSv1", f"mode: {settings.mode}"]
    lines += [f"mx: {pattern}" for pattern in settings.mx]
    lines.append(f"max_age: {settings.max_age}")
    return "".join(f"{line}\r\n" for line in lines)


def policy_id(text: str) -> str:
    """The policy's id: 32 hexadecimal digits of its SHA-256 (grammar: 1*32(ALPHA / DIGIT))."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:_ID_LENGTH]


def txt_value(policy_identifier: str) -> str:
    """The raw, unquoted text of `_mta-sts.<domain>` TXT."""
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", policy_identifier):
        raise ValueError(f"MTA-STS id is {policy_identifier!r}: write 1 to 32 letters or digits")
    return f"v=STSv1; id={policy_identifier};"
