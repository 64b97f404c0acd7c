"""The lines of the report: one for each effect of a change, however many domains it applies to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import PurePath

from tlsgate.partners.diff import DomainChange, ListDiff, PartnerChange
from tlsgate.partners.model import Partner
from tlsgate.partners.strength import EXCEPTIONS, LISTED, compare
from tlsgate.review.describe import (
    ARROW,
    UNLISTED,
    describe_change,
    describe_effect,
    describe_rule,
    exception_days,
    exception_effect,
    exception_opened,
)
from tlsgate.review.text import SHOWN_VALUES, Text, value


class Kind(StrEnum):
    """What a line is about, the most important first."""

    REMOVED = "removed"
    WEAKENED = "weakened"
    EXCEPTION_OPENED = "exception-opened"
    EXCEPTION_PROLONGED = "exception-prolonged"
    EXCEPTION_ENDED = "exception-ended"
    MOVED = "moved"
    TIGHTENED = "tightened"
    ADDED = "added"
    NEUTRAL = "neutral"


_ORDER = {kind: number for number, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report."""

    kind: Kind
    weakened: bool
    partner: str
    """The name in the old list; for a new partner, in the new list."""
    successor: str
    """The name in the new list; "" if there is none."""
    keys: tuple[str, ...]
    """The keys of the gateway's maps, as in DomainChange; () for a line about the record."""
    aspect: str
    change: Text
    effect: Text
    file: str
    """The file of the record, in the new list if it is there."""


def report_lines(changes: ListDiff) -> tuple[Line, ...]:
    """Return every line, weakened ones first."""
    lines = [*_domain_lines(changes), *_partner_lines(changes)]
    return tuple(
        sorted(
            lines,
            key=lambda line: (not line.weakened, _ORDER[line.kind], line.partner, line.keys),
        )
    )


def describe_domains(keys: Sequence[str]) -> Text:
    """Return keys of the gateway's maps as domains: `acme.example` and below."""
    given = set(keys)
    names = list(dict.fromkeys(key.lstrip(".") for key in keys))
    said: list[str] = []
    for name in names[:SHOWN_VALUES]:
        itself, below = name in given, f".{name}" in given
        said += [", " if said else "", "" if itself else "below ", value(name)]
        said.append(" and below" if itself and below else "")
    if len(names) > SHOWN_VALUES:
        said.append(f" and {len(names) - SHOWN_VALUES} more")
    return tuple(said)


_Group = tuple[str, bool, str, str]


def _domain_lines(changes: ListDiff) -> Iterator[Line]:
    gone = {one.old.name for one in changes.partners if one.old and not one.new}
    groups: dict[_Group, list[DomainChange]] = defaultdict(list)
    for domain in changes.domains:
        owners = domain.old.name if domain.old else "", domain.new.name if domain.new else ""
        if domain.moved:
            groups["", any(one.weaker for one in domain.differences), *owners].append(domain)
        for difference in domain.differences:
            groups[difference.aspect, difference.weaker, *owners].append(domain)
    for (aspect, weaker, *_), found in groups.items():
        yield from _lines_of(aspect, weaker, found, gone)


def _lines_of(
    aspect: str, weaker: bool, found: Sequence[DomainChange], gone: set[str]
) -> Iterator[Line]:
    old, new = found[0].old, found[0].new
    keys = tuple(one.key for one in found)
    one = new or old
    if one is None:
        return
    name, successor = (old or one).name, new.name if new else ""

    def line(kind: Kind, change: Text, effect: Text, about: str = aspect) -> Line:
        return Line(kind, weaker, name, successor, keys, about, change, effect, one.file)

    if old is None or new is None:
        if old is None:
            yield line(Kind.ADDED, describe_rule(one), _added_effect(one))
            yield from _exceptions_of_new(one, keys)
        else:
            what = "removed from the list" if name in gone else "no longer listed"
            if all(key.startswith(".") for key in keys) and name not in gone:
                what = "subdomains are no longer covered"
            yield line(Kind.REMOVED, (what,), UNLISTED)
    elif not aspect:
        change: Text = ("moved from ", value(old.name), " to ", value(new.name))
        effect = "to a weaker rule" if weaker else "to a rule as strict as before"
        yield line(Kind.MOVED, change, (effect,), "partner")
    else:
        kind = Kind.WEAKENED if weaker else Kind.TIGHTENED
        if aspect.startswith(f"{EXCEPTIONS}."):
            kind = _exception_kind(aspect, old, new)
        said = describe_change(aspect, old, new)
        yield line(kind, said, describe_effect(aspect, weaker, keys, old, new))


def _added_effect(partner: Partner) -> Text:
    if partner.mode == "observe":
        return ("nothing is held or refused yet, only counted",)
    return ("mail without this is held or refused",)


def _exceptions_of_new(partner: Partner, keys: tuple[str, ...]) -> Iterator[Line]:
    """Yield a line for each exception that a new partner has."""
    closed = replace(partner, exceptions=())
    opened = (one.aspect for one in compare(keys[0], closed, partner))
    for aspect in (one for one in opened if one.startswith(f"{EXCEPTIONS}.")):
        yield Line(
            Kind.EXCEPTION_OPENED,
            False,
            partner.name,
            partner.name,
            keys,
            aspect,
            exception_opened(aspect, partner),
            exception_effect(aspect, partner),
            partner.file,
        )


def _exception_kind(aspect: str, old: Partner, new: Partner) -> Kind:
    before, after = exception_days(aspect, old, new)
    if after < before:
        return Kind.EXCEPTION_ENDED
    return Kind.EXCEPTION_OPENED if before == date.min else Kind.EXCEPTION_PROLONGED


def _partner_lines(changes: ListDiff) -> Iterator[Line]:
    reported = {
        owner.name
        for one in changes.domains
        for owner in (one.old, one.new)
        if owner and any(difference.aspect == LISTED for difference in one.differences)
    }
    for change in changes.partners:
        if change.old and change.new:
            for label in change.labels:
                yield _label_line(label, change.old, change.new)
        else:
            one = change.new or change.old
            if one and one.name not in reported:
                yield _owner_line(change, one)


def _owner_line(change: PartnerChange, one: Partner) -> Line:
    """Return the line for a record that was added or removed while its domains stayed listed."""
    said = "a new record" if change.new else "the record was removed"
    effect: Text = ("its domains were and are on the list",)
    successor = change.new.name if change.new else ""
    return Line(Kind.NEUTRAL, False, one.name, successor, (), "partner", (said,), effect, one.file)


def _label_line(label: str, old: Partner, new: Partner) -> Line:
    before, after = getattr(old, label), getattr(new, label)
    change: Text = (f"{label}: ", value(before), ARROW, value(after))
    effect = "no change to any rule"
    if label == "file":
        before, after = PurePath(old.file).name, PurePath(new.file).name
        change = ("file renamed: ", value(before), ARROW, value(after))
    elif label == "exceptions":
        change = ("the wording of an exception's reason or approver changed",)
    elif label == "review":
        effect = "the day by which the agreement must be confirmed again"
    return Line(Kind.NEUTRAL, False, old.name, new.name, (), label, change, (effect,), new.file)
