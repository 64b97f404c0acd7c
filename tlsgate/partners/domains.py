"""Checks domain names: they must be canonical, and must belong to one organisation.

Canonical is what Postfix compares: lower-case A-labels (RFC 5890 §2.3.2.1, IDNA 2008 without the
mappings of UTS 46), without a trailing dot. A public suffix is nobody's mail domain.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from tlsgate.problems import visible

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

NameFault = tuple[str, str]
"""What is wrong (read after the name itself), and what to write instead."""

NAME_LENGTH = 253
_CANONICAL = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_ADDRESS = re.compile(r"\[?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]?(?:/\d+)?")


def is_within(name: str, domain: str) -> bool:
    """Return whether a canonical name is the domain or is below it."""
    return name == domain or name.endswith("." + domain)


def domain_fault(name: str) -> NameFault | None:
    """Return why `name` is not a valid domain or host name, None if it is valid."""
    fault = host_fault(name)
    if fault is None and is_public_suffix(name):
        return (
            "is a public suffix: anyone can register names below it",
            "Write the domain that the organisation itself registered",
        )
    return fault


def host_fault(name: str) -> NameFault | None:
    """Same as `domain_fault`, but the name may be a public suffix."""
    if len(name) <= NAME_LENGTH and _CANONICAL.fullmatch(name):
        return _label_fault(name) if "xn--" in name else None
    return _syntax_fault(name)


@lru_cache(1024)  # the contact of a record is usually in one of its domains
def is_public_suffix(name: str) -> bool:
    """Return whether a canonical name is in the Public Suffix List, in either section.

    A top-level domain that is not in the list is a public suffix too.
    """
    return bool(_suffixes().publicsuffix(name) == name)


@cache
def _suffixes() -> PublicSuffixList:
    # Reading the list takes 30 ms: `tlsgate --help` should not wait for it.
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415

    return PublicSuffixList()


@dataclass(frozen=True, slots=True)
class _Mistake:
    """A common mistake in a name. `correct` turns the name into what to write."""

    found: Callable[[str], bool]
    message: str
    correct: Callable[[str], str]


_EXAMPLE = "a domain, such as acme.example"
_MISTAKES = (  # the most likely first: only the first one found is reported
    _Mistake(lambda name: not name.strip(), "is empty", lambda _: _EXAMPLE),
    _Mistake(
        lambda name: len(name) > NAME_LENGTH,
        f"is longer than {NAME_LENGTH} characters",
        lambda _: "a name that is short enough for DNS",
    ),
    _Mistake(
        lambda name: any(char.isspace() for char in name),
        "contains white space",
        lambda _: "one domain per entry, without spaces",
    ),
    _Mistake(
        lambda name: "@" in name,
        "is an address, not a domain",
        lambda name: name.rpartition("@")[2] or _EXAMPLE,
    ),
    _Mistake(
        lambda name: "/" in name and not _ADDRESS.fullmatch(name), "has a slash", lambda _: _EXAMPLE
    ),
    _Mistake(
        lambda name: _ADDRESS.fullmatch(name) is not None,
        "is an IP address",
        lambda _: "a name; the partner's addresses belong under inbound.networks",
    ),
    _Mistake(
        lambda name: name.startswith("*."),
        "has a wildcard",
        lambda name: f"{name[2:]}; `subdomains: true` covers the names below it",
    ),
    _Mistake(lambda name: name[0] == ".", "starts with a dot", lambda name: name.lstrip(".")),
    _Mistake(lambda name: name[-1] == ".", "ends with a dot", lambda name: name.rstrip(".")),
)


def _syntax_fault(name: str) -> NameFault:
    """Return what makes a name not canonical."""
    for mistake in _MISTAKES:
        if mistake.found(name):
            return mistake.message, f"Write {visible(mistake.correct(name)) or _EXAMPLE}"
    if not name.isascii():
        return _unicode_fault(name)
    if name != name.lower():
        return "has upper-case letters", f"Write {visible(name.lower())}"
    if "." not in name:
        return "has no dot", "Write the whole domain, such as acme.example"
    return (
        "is not a domain name (RFC 1035 §2.3.1)",
        "Write labels of letters, digits and inner hyphens, at most 63 characters each",
    )


def _unicode_fault(name: str) -> NameFault:
    import idna  # noqa: PLC0415 (most lists hold no such name)

    try:
        canonical = idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        return (
            f"is not a valid international domain name ({_reason(error)})",
            "Write its A-label form, xn--…",
        )
    return "is not in its canonical form", f"Write {canonical}"


def _label_fault(name: str) -> NameFault | None:
    """Check that each A-label decodes, and encodes back to itself (RFC 5891 §5.4)."""
    import idna  # noqa: PLC0415 (most lists hold no such name)

    for label in name.split("."):
        if not label.startswith("xn--"):
            continue
        try:
            genuine = idna.alabel(idna.ulabel(label)).decode("ascii") == label
            reason = "is not what its Unicode form encodes to"
        except (idna.IDNAError, UnicodeError) as error:
            genuine, reason = False, _reason(error)
        if not genuine:
            return (
                f"is not a valid international domain name ({label}: {reason})",
                "Write the A-label form of the name, as its owner registered it",
            )
    return None


def _reason(error: Exception) -> str:
    return visible(str(error))[:120]
