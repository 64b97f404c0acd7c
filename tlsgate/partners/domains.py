"""Domain names as the gateway wants them: canonical, and narrow enough to belong to someone.

Canonical is what Postfix compares: lower-case A-labels (RFC 5890 §2.3.2.1, IDNA 2008 without the
mappings of UTS 46), without a trailing dot. A public suffix is nobody's mail domain.
"""

from __future__ import annotations

import re
from functools import cache
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


def _syntax_fault(name: str) -> Fault:
    """Name the first thing that makes a name not canonical, the likeliest slips first."""
    if not name.strip():
        return "is empty", "Write a domain, such as acme.example"
    if name != name.strip() or any(char.isspace() for char in name):
        return "holds white space", "Write one domain an entry, without spaces"
    if "@" in name:
        return "is an address, not a domain", f"Write {_after(name, '@')}"
    if "://" in name:
        return "is a URL, not a domain", "Write the domain alone"
    if _ADDRESS.fullmatch(name):
        return "is an IP address", "Write a domain; addresses belong under inbound.networks"
    if name.startswith("*."):
        return "has a wildcard", f"Write {name[2:]}; `subdomains: true` covers what is below it"
    if name.startswith("."):
        return "starts with a dot", f"Write {name.lstrip('.')}"
    if name.endswith("."):
        return "ends with a dot", f"Write {name.rstrip('.')}"
    if not name.isascii():
        return _unicode_fault(name)
    if name != name.lower():
        return "has upper-case letters", f"Write {name.lower()}"
    if len(name) > NAME_LENGTH:
        return f"is longer than {NAME_LENGTH} characters", "Write a name that DNS can hold"
    if "." not in name:
        return "has no dot", "Write the whole domain, such as acme.example"
    return (
        "is not a domain name (RFC 1035 §2.3.1)",
        "Write labels of letters, digits and inner hyphens, at most 63 characters each",
    )


def _after(text: str, mark: str) -> str:
    return text.rpartition(mark)[2] or "a domain, such as acme.example"


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
    """Check that each A-label decodes, and encodes back to itself."""
    import idna  # noqa: PLC0415 (most lists hold no such name)

    try:
        canonical = idna.encode(idna.decode(name)).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        return (
            f"is not a valid international domain name ({_reason(error)})",
            "Write the A-label form of the name, as its owner registered it",
        )
    return None if canonical == name else ("is not in its canonical form", f"Write {canonical}")


def _reason(error: Exception) -> str:
    return visible(str(error))[:120]
