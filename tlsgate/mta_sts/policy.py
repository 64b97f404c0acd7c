"""The texts of MTA-STS: the `_mta-sts` record and the policy (RFC 8461, sections 3.1, 3.2). Pure.

Where a field that must be there once is there twice, the first counts. Fields that are not known,
and lines that are no field, are ignored. Both end with section 3.2's last paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ENFORCE, TESTING, NONE = "enforce", "testing", "none"
MODES = (ENFORCE, TESTING, NONE)
MAX_AGE_LIMIT = 31_557_600
"""Seconds: about a year. What is longer is taken as this."""
MX_LIMIT = 250
MX_OCTETS_LIMIT = 16 * 1024
"""Each mx is three times in the answer, and Postfix takes no longer one than 100,000 octets."""

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_DIGITS = re.compile(r"[0-9]+")
# A top-level domain begins with a letter, so an IPv4 address is no host name.
_HOST_PATTERN = re.compile(
    r"(\*\.)?(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)


class PolicyFault(ValueError):
    """The text is no policy that RFC 8461 allows."""


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy that was checked: its words go into an answer to Postfix as they are.

    `mx`: host names in lower case, `*.name` for one label below. `max_age`: seconds. Raises
    PolicyFault.
    """

    mode: str
    mx: tuple[str, ...]
    max_age: int

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise PolicyFault("the policy's mode is not enforce, testing or none")
        if type(self.max_age) is not int or not 0 <= self.max_age <= MAX_AGE_LIMIT:
            raise PolicyFault(f"the policy's max_age is not 0 to {MAX_AGE_LIMIT}")
        if not all(is_host_pattern(pattern) for pattern in self.mx):
            raise PolicyFault("the policy has an mx that is not a host name")
        if not self.mx and self.mode != NONE:
            raise PolicyFault("the policy names no mx that is a host name")
        if len(self.mx) > MX_LIMIT or sum(map(len, self.mx)) > MX_OCTETS_LIMIT:
            raise PolicyFault("the policy names more mx than Postfix can be given")

    def lines(self) -> tuple[str, ...]:
        """The fields of RFC 8461, each as `name: value`."""
        hosts = (f"mx: {pattern}" for pattern in self.mx)
        return ("version: STSv1", f"mode: {self.mode}", *hosts, f"max_age: {self.max_age}")


def is_host_pattern(text: str) -> bool:
    """Whether an `mx` is a host name in lower case, or `*.` and one."""
    return _HOST_PATTERN.fullmatch(text) is not None


def parse_policy(text: str) -> StsPolicy:
    """The policy of a policy file. Raises PolicyFault."""
    fields: dict[str, str] = {}
    hosts: list[str] = []
    for line in text.split("\n"):
        name, _, value = line.removesuffix("\r").partition(":")
        value = value.strip(" \t")
        if name == "mx":
            # Before `lower`, which makes ASCII of some letters that are none.
            hosts.append(value.lower() if value.isascii() else "")
        else:
            fields.setdefault(name, value)
    if fields.get("version") != "STSv1":
        raise PolicyFault("the policy's version is not STSv1")
    patterns = dict.fromkeys(host for host in hosts if is_host_pattern(host))
    return StsPolicy(fields.get("mode", ""), tuple(patterns), _max_age(fields.get("max_age", "")))


def _max_age(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise PolicyFault("the policy's max_age is not a number")
    digits = text.lstrip("0")
    # Not all of them are made a number: they may be thousands.
    return MAX_AGE_LIMIT if len(digits) > 10 else min(int(digits or "0"), MAX_AGE_LIMIT)


def policy_id(texts: Iterable[str]) -> str | None:
    """The id that the TXT records of `_mta-sts.<domain>` give; None without one valid record.

    Several records are as good as none.
    """
    records = [fields for fields in map(_fields, texts) if fields[0] == "v=STSv1"]
    if len(records) != 1:
        return None
    named = (field.partition("=") for field in records[0][1:])
    found = next((value for name, _, value in named if name == "id"), "")
    return found if is_id(found) else None


def is_id(text: str) -> bool:
    """Whether this is the id of a policy."""
    return _ID.fullmatch(text) is not None


def _fields(text: str) -> list[str]:
    return [field.strip(" \t") for field in text.split(";")]
