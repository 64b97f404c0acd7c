"""The gateway's partner rules as the helper holds them: read from `partner_rules.json`. Pure.

Postfix's questions name the digest of the file that belongs to its configuration, so that no
answer comes from the rules of another generation. What an exception allows ends at its time,
because the answer depends on the clock (D17).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from tlsgate.policy.contract import PARTS, RULES, digest_of
from tlsgate.policy.identities import Identity, IdentityIndex, read_identities, read_time
from tlsgate.policy.null_sender import read_null_senders


class BadRules(ValueError):
    """The file is not what the gateway's generation should hold."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The policy of one key: each period's until the time beside it, then `then`."""

    partner: str
    observe: bool
    periods: tuple[tuple[datetime, str], ...]
    then: str

    def at(self, now: datetime) -> str:
        """The policy in force."""
        return next((policy for until, policy in self.periods if now < until), self.then)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Which rules of an observed partner the counts are about, by digest."""

    outbound: str
    inbound: str


@dataclass(frozen=True, slots=True)
class Rules:
    """One file; `digest` names its content. `null_senders`: domain → what its MX hosts must do."""

    digest: str
    destinations: Mapping[str, Destination]
    identities: IdentityIndex
    observed: Mapping[str, Evidence]
    null_senders: Mapping[str, Identity]

    def destination(self, name: str) -> Destination | None:
        """The rule of a name, or of a `.parent` key: its own, else that of the nearest parent."""
        return next((self.destinations[k] for k in _keys(name) if k in self.destinations), None)


def _keys(name: str) -> Iterator[str]:
    yield name
    parent = name.lstrip(".").partition(".")[2]
    while parent:
        yield f".{parent}"
        parent = parent.partition(".")[2]


def load_rules(content: bytes) -> Rules:
    """The rules of a `partner_rules.json`. Raises BadRules, naming the part at fault."""
    try:
        values = json.loads(content)
        outbound, inbound, observed, null_senders = (values[key] for key in PARTS)
    except (ValueError, KeyError, TypeError) as fault:
        raise BadRules(f"{RULES} cannot be read: {fault!r}") from fault
    identities = list(_part("inbound", read_identities(inbound)))
    return Rules(
        digest_of(content),
        _once("outbound", _part("outbound", map(_destination, outbound))),
        IdentityIndex(_once("inbound", ((one.domain, one) for one in identities)).values()),
        _once("observed", _part("observed", map(_evidence, observed))),
        _once("null_senders", _part("null_senders", read_null_senders(null_senders))),
    )


def _part(name: str, items: Iterable[Any]) -> Iterator[Any]:
    number = -1
    try:
        for number, item in enumerate(items):  # noqa: B007  # told in the error
            yield item
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise BadRules(f"{RULES}, {name}, entry {number + 1}: {fault!r}") from fault


def _once(name: str, items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in items:
        if key in found:
            raise BadRules(f"{RULES}, {name}: {key} is there twice")
        found[key] = value
    return found


def _destination(entry: dict[str, Any]) -> tuple[str, Destination]:
    periods = tuple((_time(until), _policy(policy)) for until, policy in entry["periods"])
    if any(later[0] <= one[0] for one, later in pairwise(periods)):
        raise ValueError("the periods are not in order")
    if not isinstance(entry["observe"], bool):
        raise TypeError("observe is not true or false")
    rule = Destination(str(entry["partner"]), entry["observe"], periods, _policy(entry["then"]))
    return entry["key"].lower(), rule


def _time(text: str) -> datetime:
    time = read_time(text)
    if time is None:
        raise ValueError("a period has no end")
    return time


def _policy(text: str) -> str:
    """It goes to Postfix word by word."""
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
        raise ValueError(f"{text!r} is no policy")
    return text


def _evidence(entry: dict[str, Any]) -> tuple[str, Evidence]:
    return str(entry["partner"]), Evidence(str(entry["outbound"]), str(entry["inbound"]))
