"""What mail to a partner needs, now and later: values of `smtp_tls_policy_maps` (postconf(5)).

| verify     | `acme.example`                            | `.acme.example`                    |
| ---------- | ----------------------------------------- | ---------------------------------- |
| pkix       | `secure match=acme.example:.acme.example` | `secure match=nexthop:dot-nexthop` |
| + mx       | `secure match=` the names of `mx`         | the same                           |
| private-ca | as pkix, and `tafile=` the CA alone       | the same way                       |
| dane       | `dane-only`                               | the same                           |
| pin        | `fingerprint match=` the keys' SHA-256    | the same                           |

Mail to parts.acme.example is not satisfied by a certificate for acme.example or its other hosts:
a host that somebody runs for one subdomain could read the mail of all others. A partner whose
subdomains share the servers of the parent writes `mx: [.acme.example]`.

A record with `tls: compatible` has ` ciphers=medium` after each of these. In the gateway's
transports for partners Postfix's two grades are the two strengths of tlsgate.tls:
`tls_high_cipherlist`, which is used without the word, is the strong list, and
`tls_medium_cipherlist` the compatible one. Postfix's own `medium`, which is much weaker, does
not exist there.

Time changes a policy in two ways, and only towards what is stricter (D17). An exception is `may`
or `encrypt` until its end. A private CA is trusted until its certificate ends, for Postfix itself
does not look at the dates of a trust anchor; after the last one's end the mail is held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tlsgate.generation.contract import ACTIVE
from tlsgate.partners.ca import anchors, file_name
from tlsgate.partners.model import Allow, Direction, ExceptionRule, Outbound, Partner, Verify
from tlsgate.partners.strength import last_day
from tlsgate.tls import Strength

PLAINTEXT = "may"
ENCRYPTED = "encrypt"
COMPATIBLE = " ciphers=medium"
"""Added to a policy that verifies: older encryption is enough."""
HELD = f"fingerprint match={':'.join(['00'] * 32)}"
"""A pin that no key has."""

_NAME = re.compile(r"\.?([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_PIN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Period:
    """What is in force before the time `until`."""

    until: datetime
    policy: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Periods one after the other, and what is in force after the last one's end."""

    then: str
    periods: tuple[Period, ...] = ()

    def at(self, now: datetime) -> str:
        """The policy in force."""
        return next((one.policy for one in self.periods if now < one.until), self.then)


def outbound_timeline(partner: Partner, key: str) -> Timeline:
    """The policy of a key of the table, from now on. Raises ValueError if none can enforce it."""
    strict = _strict(partner, key)
    opened = tuple(_opened(partner.exceptions, _ciphers(partner)))
    after = opened[-1].until if opened else datetime.min.replace(tzinfo=UTC)
    return Timeline(strict.then, (*opened, *(one for one in strict.periods if one.until > after)))


def anchor_files(outbound: Outbound) -> dict[str, str]:
    """The files that the policies of a record name with `tafile=`: name → PEM."""
    return {file_name(pem): pem for _, pem in _trusted(outbound)}


def exception_end(
    rules: tuple[ExceptionRule, ...], direction: Direction, allow: Allow
) -> datetime | None:
    """The time until which `allow` is enough; None if it never is."""
    day = last_day(rules, direction, allow)
    return None if day == date.min else end_of_day(day)


def end_of_day(day: date) -> datetime:
    """The first moment after the day, in UTC."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def canonical_name(name: str) -> str:
    """The name, or `.name`, unchanged. Raises ValueError for what no certificate can hold."""
    # `nexthop`, `dot-nexthop` and `hostname` are words of the table, and have no dot inside.
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name that a certificate can hold")
    return name


def canonical_pin(digest: str) -> str:
    """The digest unchanged. Raises ValueError for what is none."""
    if not _PIN.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a SHA-256 digest in lower-case hexadecimal")
    return digest


def _opened(rules: tuple[ExceptionRule, ...], ciphers: str) -> Iterator[Period]:
    plaintext = exception_end(rules, Direction.OUTBOUND, Allow.PLAINTEXT)
    encrypted = exception_end(rules, Direction.OUTBOUND, Allow.ENCRYPTED)
    if plaintext:
        yield Period(plaintext, PLAINTEXT)
    if encrypted and (plaintext is None or encrypted > plaintext):
        yield Period(encrypted, ENCRYPTED + ciphers)


def _strict(partner: Partner, key: str) -> Timeline:
    outbound = partner.outbound
    ciphers = _ciphers(partner)
    match outbound.verify:
        case Verify.PKIX:
            return Timeline(_secure(outbound, key) + ciphers)
        case Verify.PRIVATE_CA if outbound.ca:
            secure = _secure(outbound, key)
            periods = (
                Period(until, f"{secure} tafile={ACTIVE}/{file_name(pem)}{ciphers}")
                for until, pem in _trusted(outbound)
            )
            return Timeline(HELD, tuple(periods))
        case Verify.DANE:
            return Timeline(f"dane-only{ciphers}")
        case Verify.PIN if outbound.public_keys:
            pins = "|".join(map(_fingerprint, outbound.public_keys))
            return Timeline(f"fingerprint match={pins}{ciphers}")
        case _:
            raise ValueError(f"{partner.name}: verify {outbound.verify} cannot be enforced")


def _ciphers(partner: Partner) -> str:
    return COMPATIBLE if partner.tls is Strength.COMPATIBLE else ""


def _secure(outbound: Outbound, key: str) -> str:
    if outbound.mx:
        return f"secure match={':'.join(map(canonical_name, outbound.mx))}"
    if key.startswith("."):
        return "secure match=nexthop:dot-nexthop"
    return f"secure match={key}:.{key}"


def _trusted(outbound: Outbound) -> Iterator[tuple[datetime, str]]:
    """Until when which certificates of the CA are trusted: those that have not ended before."""
    found = anchors(outbound.ca)
    for until in sorted({anchor.not_after for anchor in found}):
        yield until, "".join(anchor.pem for anchor in found if anchor.not_after >= until)


def _fingerprint(digest: str) -> str:
    """A digest as Postfix prints it: AA:BB:…"""
    digits = canonical_pin(digest).upper()
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))
