"""Domain names as the gateway wants them: canonical, and narrow enough to belong to someone.

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

Fault = tuple[str, str]
"""What is wrong, to be read after the name itself, and what to write instead."""

NAME_LENGTH = 253
_CANONICAL = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_ADDRESS = re.compile(r"\[?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]?(?:/\d+)?")


def is_within(name: str, domain: str) -> bool:
    """Tell whether a canonical name is the domain or stands below it."""
    return name == domain or name.endswith("." + domain)


def domain_fault(name: str) -> Fault | None:
    """Return what keeps `name` from being a domain or a host name, None if nothing does."""
    fault = host_fault(name)
    if fault is None and is_public_suffix(name):
        return (
            "is a public suffix: anyone can register names below it",
            "Write the domain that the organisation itself registered",
        )
    return fault


def host_fault(name: str) -> Fault | None:
    """As `domain_fault`, for a name that may be a public suffix."""
    if len(name) <= NAME_LENGTH and _CANONICAL.fullmatch(name):
        return _label_fault(name) if "xn--" in name else None
    return _syntax_fault(name)


@lru_cache(1024)  # a record's contact is mostly in a domain of the record
def is_public_suffix(name: str) -> bool:
    """Tell whether a canonical name stands in the Public Suffix List, either section.

    A top-level domain that the list does not know is a public suffix too.
    """
    return bool(_suffixes().publicsuffix(name) == name)


@cache
def _suffixes() -> PublicSuffixList:
    # Reading the list takes 30 ms: `tlsgate --help` should not wait for it.
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415

    return PublicSuffixList()


@dataclass(frozen=True, slots=True)
class _Slip:
    """A known way to write a name wrongly; `right` turns the name into what to write."""

    seen: Callable[[str], bool]
    message: str
    right: Callable[[str], str]


_EXAMPLE = "a domain, such as acme.example"
_SLIPS = (  # the likeliest first: the first that is seen is told
    _Slip(lambda name: not name.strip(), "is empty", lambda _: _EXAMPLE),
    _Slip(
        lambda name: len(name) > NAME_LENGTH,
        f"is longer than {NAME_LENGTH} characters",
        lambda _: "a name that DNS can hold",
    ),
    _Slip(
        lambda name: any(char.isspace() for char in name),
        "holds white space",
        lambda _: "one domain an entry, without spaces",
    ),
    _Slip(
        lambda name: "@" in name,
        "is an address, not a domain",
        lambda name: name.rpartition("@")[2] or _EXAMPLE,
    ),
    _Slip(
        lambda name: "/" in name and not _ADDRESS.fullmatch(name), "has a slash", lambda _: _EXAMPLE
    ),
    _Slip(
        lambda name: _ADDRESS.fullmatch(name) is not None,
        "is an IP address",
        lambda _: "a name; the partner's addresses belong under inbound.networks",
    ),
    _Slip(
        lambda name: name.startswith("*."),
        "has a wildcard",
        lambda name: f"{name[2:]}; `subdomains: true` covers what is below it",
    ),
    _Slip(lambda name: name[0] == ".", "starts with a dot", lambda name: name.lstrip(".")),
    _Slip(lambda name: name[-1] == ".", "ends with a dot", lambda name: name.rstrip(".")),
)


def _syntax_fault(name: str) -> Fault:
    """Name what makes a name not canonical."""
    for slip in _SLIPS:
        if slip.seen(name):
            return slip.message, f"Write {visible(slip.right(name)) or _EXAMPLE}"
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


def _unicode_fault(name: str) -> Fault:
    import idna  # noqa: PLC0415 (most lists hold no such name)

    try:
        canonical = idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        return (
            f"is not a valid international domain name ({_reason(error)})",
            "Write its A-label form, xn--…",
        )
    return "is not in its canonical form", f"Write {canonical}"


def _label_fault(name: str) -> Fault | None:
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
