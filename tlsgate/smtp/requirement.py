"""What the gateway demands of a destination, read from the policies that its Postfix gets.

Read back from the compiled table and from the policy helper's answers (postconf(5),
smtp_tls_policy_maps), so that what is reported is exactly what is enforced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Postfix's levels that the gateway uses. `DANE` is its default: opportunistic without TLSA.

    `MAY` and `ENCRYPT` are a partner's exceptions.
    """

    MAY = "may"
    ENCRYPT = "encrypt"
    DANE = "dane"
    DANE_ONLY = "dane-only"
    SECURE = "secure"
    FINGERPRINT = "fingerprint"


class Terms(StrEnum):
    """Protocols, suites and security level of an offer.

    `STRONG` and `COMPATIBLE` are those to partners (tlsgate.tls), `MANDATORY` those to others whose
    MTA-STS or DANE demands TLS, `ANY` those where old TLS is better than none (RFC 7435).
    """

    STRONG = "strong"
    COMPATIBLE = "compatible"
    MANDATORY = "mandatory"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A policy for one next hop.

    `match`: names, `.name` for those below, or at `fingerprint` SHA-256 in lower-case hex.
    `sends_host_name`: the server name sent is the MX host's. `mx_patterns`: the hosts that MTA-STS
    allows, `*.name` for one label; empty for any. `anchors`: the name of the file with the private
    CA that is trusted instead of the public ones. `terms`: how strong TLS must be where there must
    be any: for a partner what its record's `tls` says.
    """

    level: Level
    match: tuple[str, ...] = ()
    sends_host_name: bool = False
    mx_patterns: tuple[str, ...] = ()
    anchors: str = ""
    terms: Terms = Terms.MANDATORY


OPPORTUNISTIC = Requirement(Level.DANE)
"""No table has an answer."""

_GROUP = re.compile(r"\{[^}]*\}")


def listed_policy(table: Mapping[str, str], domain: str) -> str | None:
    """The table's entry for a domain: its own, else that of the nearest `.parent`."""
    return next((table[key] for key in _keys(domain) if key in table), None)


def _keys(domain: str) -> Iterator[str]:
    yield domain
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f".{domain}"


def parse_policy(text: str, domain: str, *, partner: bool = True) -> Requirement:
    """The policy `text` for mail to `domain`; `partner`: it stands in the list.

    A partner's mail has a transport of its own, which offers strong TLS, sends the MX host's name,
    and knows `ciphers=medium` as what `tls: compatible` allows.

    Raises ValueError for a level or an attribute that is not known here: it is never ignored.
    """
    level, _, rest = text.partition(" ")
    match: tuple[str, ...] = ()
    sends_host_name = partner
    terms = Terms.STRONG if partner else Terms.MANDATORY
    patterns: list[str] = []
    anchors = ""
    for word in _GROUP.sub("", rest).split():
        name, _, value = word.partition("=")
        match name:
            case "match":
                match = _match(Level(level), value, domain)
            case "servername" if value == "hostname":
                sends_host_name = True
            case "ciphers" if partner and value == "medium":
                terms = Terms.COMPATIBLE
            case "tafile":
                anchors = value.rpartition("/")[2]
            case "mx_host_pattern":
                patterns.append(value)
            case "policy_type" | "policy_domain":  # for TLS-RPT alone
                continue
            case _:
                raise ValueError(f"the policy {text!r} has an attribute {name!r} unknown here")
    return Requirement(Level(level), match, sends_host_name, tuple(patterns), anchors, terms)


def _match(level: Level, value: str, domain: str) -> tuple[str, ...]:
    if level is Level.FINGERPRINT:
        return tuple(pin.replace(":", "").lower() for pin in value.split("|"))
    words = {"nexthop": domain, "dot-nexthop": f".{domain}"}
    return tuple(words.get(word, word) for word in value.split(":"))


def allows_host(mx_patterns: Sequence[str], host: str) -> bool:
    """Whether a policy's `mx_patterns` let mail go to this MX host (RFC 8461, section 4.1)."""
    return not mx_patterns or any(
        host == pattern or (pattern[:2] == "*." and host.partition(".")[2] == pattern[2:])
        for pattern in mx_patterns
    )
