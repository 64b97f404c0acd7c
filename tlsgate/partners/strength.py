"""Whether a rule for a domain is as strict as another: pure, and total over the record.

The question is asked of one key of the gateway's maps: `acme.example` is that domain alone,
`.acme.example` any name below it. Each part of the record is compared for itself, whatever the
mode, so that a change is never hidden by another that goes the other way. What cannot be proved
as strict counts as weaker:

- another way to verify a server is weaker, for neither accepts a part of what the other does;
- so is another identity of a client, but any identity is stricter than TLS alone;
- more names, keys, CAs or networks are weaker; names and networks are compared by what they
  cover;
- a partner's networks also say from where bounces (the null sender) need TLS, so without
  `require: network` fewer of them are weaker, not more;
- more kinds of encryption are weaker;
- an exception is compared by the last day of what it allows. The clock is not asked: one that has
  ended counts as one that has not;
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
    """One part of two rules that is not the same."""

    aspect: str
    """The part of the record, such as `outbound.mx`; `listed` for being on the list at all;
    `exceptions.outbound.plaintext` for what exceptions of a direction allow."""
    weaker: bool
    """The new rule is weaker here, or not provably as strict."""


def _unjudged(cls: type[Any], *judged: str) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if field.name not in judged)


_OTHER_PARTNER = _unjudged(
    Partner,
    *("name", "contact", "agreed", "review", "file"),  # say nothing about mail
    *("domains", "subdomains"),  # say which keys there are
    *("mode", "tls", "outbound", "inbound", "exceptions"),
)
_OTHER_OUTBOUND = _unjudged(Outbound, "verify", "mx", "public_keys", "ca")
_OTHER_INBOUND = _unjudged(Inbound, "require", "public_keys", "networks")
_OTHER_EXCEPTION = _unjudged(ExceptionRule, "until", "direction", "allow", "reason", "approved_by")


def compare(key: str, old: Partner | None, new: Partner | None) -> tuple[Difference, ...]:
    """Return how the rules of two records for one key differ; None is a key without any rule."""
    if old is None or new is None:
        return () if old is new else (Difference(LISTED, new is None),)
    return tuple(_compare(key, old, new))


def same_rules(old: Partner, new: Partner) -> bool:
    """Tell whether two records say the same of a domain that both list."""
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

    `.name` is any name below. Any one name below acme.example is written `*.acme.example`.
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
    """Tell whether every address of the narrow blocks lies in a wide one. Takes CIDR blocks."""
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
    """Return the blocks merged: two halves are one whole, so that each is covered or is not."""
    networks = [ipaddress.ip_network(text) for text in texts]
    four = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six)]


def _exceptions(
    old: tuple[ExceptionRule, ...], new: tuple[ExceptionRule, ...]
) -> Iterator[Difference]:
    for direction in Direction:
        told = None
        for allow in (Allow.PLAINTEXT, Allow.ENCRYPTED):
            days = last_day(old, direction, allow), last_day(new, direction, allow)
            if days[0] != days[1] and days != told:
                aspect = f"{EXCEPTIONS}.{direction}.{allow}"
                yield Difference(aspect, days[1] > days[0])
                told = days
    if _OTHER_EXCEPTION and set(old) != set(new):
        yield Difference(EXCEPTIONS, True)


def reach(rules: tuple[ExceptionRule, ...]) -> tuple[date, ...]:
    """Return the last days of all that exceptions can allow: equal is the same in effect."""
    return tuple(last_day(rules, direction, allow) for direction in Direction for allow in Allow)


def last_day(rules: Iterable[ExceptionRule], direction: Direction, allow: Allow) -> date:
    """Return the last day on which as little as `allow` is enough; `date.min` if none is.

    What allows plaintext allows TLS without authentication too.
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
