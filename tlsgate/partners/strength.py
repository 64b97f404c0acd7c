"""Compares two rules for a domain: is the new one as strict as the old one? Pure.

Rules are compared for one key of the gateway's maps: `acme.example` is that domain alone,
`.acme.example` any name below it. Every part of the record is compared by itself, whatever the
mode, so that a stricter part never hides a weaker one. What cannot be proved to be as strict counts
as weaker:

- another way to verify a server is weaker, because neither way accepts only what the other does;
- another identity of a client is weaker too, but any identity is stricter than TLS alone;
- more names, keys, CAs or networks are weaker; names and networks are compared by what they cover;
- a partner's networks also decide from where bounces (the null sender) need TLS, so without
  `require: network` it is fewer networks that are weaker;
- more kinds of encryption are weaker;
- exceptions are compared by the last day of what they allow. The clock is not read: an exception
  that has ended counts like any other;
- a part of the record that this module does not know is weaker whenever it differs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from tlsgate.partners.domains import is_within
from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.tls import Strength

LISTED = "listed"
MODE = "mode"
TLS = "tls"
VERIFY = "outbound.verify"
NAMES = "outbound.mx"
SERVER_KEYS = "outbound.public_keys"
SERVER_CA = "outbound.ca"
REQUIRE = "inbound.require"
CLIENT_KEYS = "inbound.public_keys"
NETWORKS = "inbound.networks"
EXCEPTIONS = "exceptions"


@dataclass(frozen=True, slots=True)
class Difference:
    """One part in which two rules differ."""

    aspect: str
    """The part of the record, such as `outbound.mx`; `listed` if the key is on one list only;
    `exceptions.outbound.plaintext` for what exceptions of a direction allow."""
    weaker: bool
    """Whether the new rule is weaker here, or not provably as strict."""


def _not_compared(cls: type[Any], *compared: str) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if field.name not in compared)


_OTHER_PARTNER = _not_compared(
    Partner,
    *("name", "contact", "agreed", "review", "file"),  # have no effect on mail
    *("domains", "subdomains"),  # decide which keys there are
    *("mode", "tls", "outbound", "inbound", "exceptions"),
)
_OTHER_OUTBOUND = _not_compared(Outbound, "verify", "mx", "public_keys", "ca")
_OTHER_INBOUND = _not_compared(Inbound, "require", "public_keys", "networks")
_OTHER_EXCEPTION = _not_compared(
    ExceptionRule, "until", "direction", "allow", "reason", "approved_by"
)


def compare(key: str, old: Partner | None, new: Partner | None) -> tuple[Difference, ...]:
    """Return how the rules of two records for one key differ; None means that there is no rule."""
    if old is None or new is None:
        return () if old is new else (Difference(LISTED, new is None),)
    return tuple(_compare(key, old, new))


def same_rules(old: Partner, new: Partner) -> bool:
    """Return whether two records have the same rule for a domain that both list."""
    return (
        old.mode is new.mode
        and old.tls is new.tls
        and old.outbound == new.outbound
        and old.inbound == new.inbound
        and old.exceptions == new.exceptions
        and not any(_other(old, new, _OTHER_PARTNER, ""))
    )


def _compare(key: str, old: Partner, new: Partner) -> Iterator[Difference]:
    if old.mode is not new.mode:
        yield Difference(MODE, new.mode is not Mode.ENFORCE)
    if old.tls is not new.tls:
        yield Difference(TLS, new.tls is not Strength.STRONG)
    yield from _outbound(key, old.outbound, new.outbound)
    yield from _inbound(old.inbound, new.inbound)
    yield from _exceptions(old.exceptions, new.exceptions)
    yield from _other(old, new, _OTHER_PARTNER, "")


def _outbound(key: str, old: Outbound, new: Outbound) -> Iterator[Difference]:
    yield from _other(old, new, _OTHER_OUTBOUND, "outbound.")
    if old.verify is not new.verify:
        yield Difference(VERIFY, True)
        return
    before, after = accepted_names(key, old), accepted_names(key, new)
    if set(before) != set(after):
        yield Difference(NAMES, bool(names_gained(before, after)))
    yield from _keys(SERVER_KEYS, old.public_keys, new.public_keys, new.verify is Verify.PIN)
    cas = certificates(old.ca), certificates(new.ca)
    yield from _keys(SERVER_CA, *cas, new.verify is Verify.PRIVATE_CA)


def certificates(pem: str) -> tuple[str, ...]:
    """Return the Base64 of each certificate in canonical PEM."""
    blocks = pem.split("-----END CERTIFICATE-----")
    return tuple("".join(block.split("-----")[-1].split()) for block in blocks if block.strip())


def accepted_names(key: str, outbound: Outbound) -> tuple[str, ...]:
    """Return the names accepted in the certificate of a server for this key.

    `.name` is any name below it. Any single name below acme.example is written `*.acme.example`.
    """
    own = f"*{key}" if key.startswith(".") else key
    return outbound.mx or (own, f".{own}")


def names_gained(old: Iterable[str], new: Iterable[str]) -> tuple[str, ...]:
    """Return the new names and patterns that the old ones do not cover."""
    before = tuple(old)
    return tuple(name for name in new if not any(_covers(one, name) for one in before))


def _covers(pattern: str, name: str) -> bool:
    if not pattern.startswith("."):
        return name == pattern
    # `.a` covers the name b.a and the pattern `.b.a`, and itself; not the name a.
    return name == pattern or (name != pattern[1:] and is_within(name.lstrip("."), pattern[1:]))


def _keys(
    aspect: str, old: tuple[str, ...], new: tuple[str, ...], used: bool
) -> Iterator[Difference]:
    if set(old) != set(new):
        # Without any key there is nothing that a key must match.
        yield Difference(aspect, not set(new) <= set(old) or (used and not new))


def _inbound(old: Inbound, new: Inbound) -> Iterator[Difference]:
    yield from _other(old, new, _OTHER_INBOUND, "inbound.")
    if old.require is not new.require:
        yield Difference(REQUIRE, old.require is not Require.TLS)
    elif new.require is Require.CERTIFICATE:
        yield from _keys(CLIENT_KEYS, old.public_keys, new.public_keys, True)
    if set(old.networks) == set(new.networks):
        return
    if new.require is not Require.NETWORK:
        yield Difference(NETWORKS, not networks_cover(new.networks, old.networks))
    elif old.require is Require.NETWORK:
        yield Difference(NETWORKS, not networks_cover(old.networks, new.networks))


def networks_cover(wide: Iterable[str], narrow: Iterable[str]) -> bool:
    """Return whether every address of the narrow CIDR blocks is in a wide one."""
    blocks = _collapsed(wide)
    return all(
        any(
            block.version == part.version
            and block.network_address <= part.network_address
            and part.broadcast_address <= block.broadcast_address
            for block in blocks
        )
        for part in _collapsed(narrow)
    )


def _collapsed(texts: Iterable[str]) -> list[Any]:
    """Return the blocks merged, so that two halves count as one whole."""
    networks = [ipaddress.ip_network(text) for text in texts]
    four = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six)]


def _exceptions(
    old: tuple[ExceptionRule, ...], new: tuple[ExceptionRule, ...]
) -> Iterator[Difference]:
    for direction in Direction:
        reported = None
        for allow in (Allow.PLAINTEXT, Allow.ENCRYPTED):
            days = last_day(old, direction, allow), last_day(new, direction, allow)
            if days[0] != days[1] and days != reported:
                aspect = f"{EXCEPTIONS}.{direction}.{allow}"
                yield Difference(aspect, days[1] > days[0])
                reported = days
    if _OTHER_EXCEPTION and set(old) != set(new):
        yield Difference(EXCEPTIONS, True)


def last_days(rules: tuple[ExceptionRule, ...]) -> tuple[date, ...]:
    """Return the last day of all that exceptions can allow. Equal days have equal effects."""
    return tuple(last_day(rules, direction, allow) for direction in Direction for allow in Allow)


def last_day(rules: Iterable[ExceptionRule], direction: Direction, allow: Allow) -> date:
    """Return the last day on which exceptions accept `allow`; `date.min` if none does.

    An exception for plaintext also accepts TLS without authentication.
    """
    enough = {allow, Allow.PLAINTEXT}
    return max(
        (one.until for one in rules if one.direction is direction and one.allow in enough),
        default=date.min,
    )


def _other(old: object, new: object, names: tuple[str, ...], path: str) -> Iterator[Difference]:
    for name in names:
        if getattr(old, name) != getattr(new, name):
            yield Difference(path + name, True)
