"""Which certificate names satisfy a policy's `match=` (postconf(5), X509_check_host(3)).

The gateway's Postfix leaves the comparison to OpenSSL: `acme.example` is that name, `.acme.example`
any name below it, and a certificate's `*.acme.example` stands for one label. A star that is not a
whole first label, or that has fewer than two labels behind it, stands for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def accepted(patterns: Iterable[str], names: Sequence[str]) -> str | None:
    """The first of the certificate's names that a pattern accepts; None if there is none."""
    wanted = [pattern.lower() for pattern in patterns]
    for name in names:
        if any(_matches(pattern, name.lower()) for pattern in wanted):
            return name
    return None


def described(patterns: Sequence[str]) -> str:
    """The patterns for people: `acme.example or a name below acme.example`."""
    words = [f"a name below {one[1:]}" if one.startswith(".") else one for one in patterns]
    return " or ".join(words)


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("."):
        return len(name) > len(pattern) and name.endswith(pattern)
    if name == pattern:
        return True
    parent = pattern.partition(".")[2]
    return name.count(".") >= 2 and name.startswith("*.") and parent == name[2:]
