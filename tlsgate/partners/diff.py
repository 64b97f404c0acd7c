"""The differences between two partner lists, domain by domain. Pure.

Lists are compared by the rule of each domain and of the names below it, in both directions; not by
file or record, because a rule is as strict whoever owns the domain. The change guard calls
`weakenings`; `weakening_digest` identifies exactly one such change.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tlsgate.partners.model import Partner
from tlsgate.partners.strength import LISTED, Difference, compare, last_days, same_rules

_LABELS = ("name", "contact", "agreed", "review", "file", "exceptions")


@dataclass(frozen=True, slots=True)
class DomainChange:
    """One key of the gateway's maps whose rule or partner has changed.

    `acme.example` is that domain alone, `.acme.example` all names below it without a key of their
    own. `old` or `new` is None if that list has no rule for the key.
    """

    key: str
    old: Partner | None
    new: Partner | None
    differences: tuple[Difference, ...]
    moved: bool
    """Both lists have a rule for the key, but of different partners."""


@dataclass(frozen=True, slots=True)
class PartnerChange:
    """A partner that was added or removed, or whose own details have changed."""

    old: Partner | None
    new: Partner | None
    labels: tuple[str, ...]
    """For a partner in both lists, which of these changed: name, contact, agreed, review, file, and
    `exceptions` if only their wording changed."""


@dataclass(frozen=True, slots=True)
class ListDiff:
    """All differences between two lists, sorted by partner and by domain."""

    partners: tuple[PartnerChange, ...]
    domains: tuple[DomainChange, ...]


@dataclass(frozen=True, slots=True, order=True)
class Weakening:
    """One way in which the rule of one key is weaker than before, or not provably as strict."""

    partner: str
    """The partner's name in the old list."""
    key: str
    """As in DomainChange."""
    aspect: str
    """As in Difference."""
    old: str
    """The part of the old record that contains the aspect, as canonical JSON."""
    new: str
    """The same part of the new record; `null` if the domain is no longer listed."""


def weakenings(old: Sequence[Partner], new: Sequence[Partner]) -> tuple[Weakening, ...]:
    """Return each weakening from one list to the next, sorted."""
    return weakenings_of(diff_lists(old, new))


def weakenings_of(changes: ListDiff) -> tuple[Weakening, ...]:
    """Return the weakenings among the changes, sorted."""
    return tuple(
        sorted(
            Weakening(
                change.old.name,
                change.key,
                difference.aspect,
                _part(change.old, difference.aspect),
                _part(change.new, difference.aspect),
            )
            for change in changes.domains
            for difference in change.differences
            if difference.weaker and change.old is not None
        )
    )


def weakened_partners(found: Iterable[Weakening]) -> tuple[str, ...]:
    """Return the names of the weakened partners, sorted."""
    return tuple(sorted({one.partner for one in found}))


def weakening_digest(found: Iterable[Weakening]) -> str:
    """Return the SHA-256 of exactly these weakenings, in hex; "" if there is none."""
    rows = [[one.partner, one.key, one.aspect, one.old, one.new] for one in sorted(found)]
    if not rows:
        return ""
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def diff_lists(old: Sequence[Partner], new: Sequence[Partner]) -> ListDiff:
    """Compare two valid lists."""
    successors = _successors(old, new)
    return ListDiff(
        tuple(sorted(_partner_changes(old, new, successors), key=_partner_order)),
        tuple(_domain_changes(old, new, successors)),
    )


def _part(partner: Partner | None, aspect: str) -> str:
    values: Any = None if partner is None else partner.to_dict()
    if values is not None and aspect != LISTED:
        values = values.get(aspect.partition(".")[0])
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _domain_changes(
    old: Sequence[Partner], new: Sequence[Partner], successors: Mapping[str, Partner]
) -> Iterator[DomainChange]:
    before, after = rules_by_key(old), rules_by_key(new)
    # A name without a key has the rule of the nearest key above it, which is among these. So these
    # keys cover every name.
    for key in sorted(before.keys() | after.keys(), key=_domain_order):
        had, has = rule_of(before, key), rule_of(after, key)
        moved = False
        if had is not None and has is not None:
            if had is has:
                continue
            moved = successors.get(had.name) is not has
            if not moved and same_rules(had, has):
                continue
        differences = compare(key, had, has)
        if differences or moved:
            yield DomainChange(key, had, has, differences, moved)


def rules_by_key(partners: Iterable[Partner]) -> dict[str, Partner]:
    """Return the record of each key: `acme.example`, and `.acme.example` with its subdomains."""
    rules: dict[str, Partner] = {}
    for partner in partners:
        for domain in partner.domains:
            rules[domain] = partner
            if partner.subdomains:
                rules[f".{domain}"] = partner
    return rules


def rule_of(rules: Mapping[str, Partner], key: str) -> Partner | None:
    """Return the record that the gateway's maps find for a key: its own or the nearest above it."""
    found = rules.get(key)
    _, _, parent = key.lstrip(".").partition(".")
    while found is None and parent:
        found = rules.get(f".{parent}")
        _, _, parent = parent.partition(".")
    return found


def _successors(old: Sequence[Partner], new: Sequence[Partner]) -> dict[str, Partner]:
    """Return the new record of each old one, by old name: with the same name, or its domains."""
    by_name = {partner.name.casefold(): partner for partner in new}
    found: dict[str, Partner] = {}
    rest = []
    for partner in old:
        same = by_name.pop(partner.name.casefold(), None)
        if same is None:
            rest.append(partner)
        else:
            found[partner.name] = same
    owners = {domain: partner for partner in by_name.values() for domain in partner.domains}
    for partner in rest:
        shared = Counter(owners[domain].name for domain in partner.domains if domain in owners)
        for name, _ in shared.most_common(1):
            found[partner.name] = successor = by_name[name.casefold()]
            for domain in successor.domains:
                del owners[domain]
    return found


def _partner_changes(
    old: Sequence[Partner], new: Sequence[Partner], successors: Mapping[str, Partner]
) -> Iterator[PartnerChange]:
    kept = {partner.name for partner in successors.values()}
    yield from (PartnerChange(None, partner, ()) for partner in new if partner.name not in kept)
    for partner in old:
        successor = successors.get(partner.name)
        labels = (
            () if successor is None or successor is partner else tuple(_labels(partner, successor))
        )
        if successor is None or labels:
            yield PartnerChange(partner, successor, labels)


def _labels(old: Partner, new: Partner) -> Iterator[str]:
    for label in _LABELS:
        before, after = getattr(old, label), getattr(new, label)
        if label == "file":  # two compared folders have different paths
            before, after = PurePath(before).name, PurePath(after).name
        elif label == "exceptions" and last_days(before) != last_days(after):
            continue
        if before != after:
            yield label


def _partner_order(change: PartnerChange) -> tuple[str, bool]:
    one = change.old or change.new
    return (one.name if one else "", change.old is None)


def _domain_order(key: str) -> tuple[str, bool]:
    return key.lstrip("."), key.startswith(".")
