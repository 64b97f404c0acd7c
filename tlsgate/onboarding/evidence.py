"""Decides whether the gateway has observed a partner for long enough to enforce its rule. Pure.

Each direction needs a number of messages over a number of days, since the last message that would
have been held or refused, under exactly the rules that the file has now. Days are counted up to the
last message, so that an old file, or a policy helper that has stopped, does not count as more than
it saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tlsgate.partners.model import Direction, Partner
from tlsgate.problems import shown, visible
from tlsgate.render.partner_rules import evidence_digest

_DAY = timedelta(days=1)


class BadEvidenceError(Exception):
    """The text is not in the format that the gateway prints; the message says where."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The counts of one direction of a partner, from `tlsgate.policy.observations`.

    `clean`: the messages since `since`, when the last message came that would have been held. If
    there was none, `since` is when the observation began.
    """

    messages: int
    would_hold: Mapping[str, int]
    clean: int
    since: datetime
    last: datetime | None
    rule: str

    @property
    def days(self) -> float:
        """For how many days no message would have been held, up to the last message."""
        return max((self.last - self.since) / _DAY, 0.0) if self.last else 0.0


Observed = Mapping[Direction, Observation]


@dataclass(frozen=True, slots=True)
class EvidenceThresholds:
    """How much evidence is enough: days, and messages in each direction."""

    days: int = 7
    outbound: int = 20
    inbound: int = 20

    def messages(self, direction: Direction) -> int:
        """Return the number of messages for one direction."""
        return self.outbound if direction is Direction.OUTBOUND else self.inbound


def read_evidence(text: str) -> dict[str, Observed]:
    """Return the observations by partner, from what `observations` prints.

    Raises BadEvidenceError.
    """
    try:
        values = json.loads(text)
        return {
            str(partner): {
                Direction(direction): _observation(entry) for direction, entry in entries.items()
            }
            for partner, entries in values.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BadEvidenceError(visible(f"{type(fault).__name__}: {fault}")) from None


def _observation(entry: Mapping[str, Any]) -> Observation:
    return Observation(
        _count(entry["messages"]),
        {str(reason): _count(number) for reason, number in entry["would_hold"].items()},
        _count(entry["clean"]["messages"]),
        _time(entry["clean"]["since"]),
        None if entry["last"] is None else _time(entry["last"]),
        str(entry["rule"]),
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a number of messages")
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time


def shortfalls(
    partner: Partner, observed: Observed | None, wanted: EvidenceThresholds
) -> tuple[str, ...]:
    """Return what is missing before the partner can be enforced, one sentence each."""
    if observed is None:
        return (
            f"The gateway does not observe {shown(partner.name)}: deploy its record with"
            " `pulumi up` first.",
        )
    return tuple(
        sentence
        for direction in Direction
        for sentence in _shortfalls(partner, direction, observed.get(direction), wanted)
    )


def _shortfalls(
    partner: Partner, direction: Direction, seen: Observation | None, wanted: EvidenceThresholds
) -> Iterator[str]:
    if seen is None:
        yield f"{direction}: nothing was observed."
        return
    if seen.rule != evidence_digest(partner, direction):
        yield (
            f"{direction}: the evidence is about another rule than the file has now. Deploy the"
            " file with `pulumi up`: the observation starts again."
        )
        return
    enough = wanted.messages(direction)
    if seen.clean < enough or seen.days < wanted.days:
        yield (
            f"{direction}: {seen.clean} of {enough} messages in {_days(seen.days)} of"
            f" {wanted.days} days, {_from_when(direction, seen)}."
        )


def _from_when(direction: Direction, seen: Observation) -> str:
    held = sum(seen.would_hold.values())
    if not held:
        return f"observed since {seen.since:%Y-%m-%d %H:%M} UTC"
    what = "held" if direction is Direction.OUTBOUND else "refused"
    return (
        f"counted from {seen.since:%Y-%m-%d %H:%M} UTC, when the last of {held} would have been"
        f" {what} ({reasons_words(seen.would_hold)})"
    )


def _days(days: float) -> str:
    return f"{int(days * 10) / 10:g}"


def reasons_words(would_hold: Mapping[str, int]) -> str:
    """Return the reasons, the most frequent first: `name 3, expired 1`."""
    ordered = sorted(would_hold.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{visible(reason)} {number}" for reason, number in ordered)


def summary(observed: Observed) -> str:
    """Return a summary for the comment: `outbound 41 messages in 9 days, inbound …`."""
    return ", ".join(
        f"{direction} {one.clean} messages in {_days(one.days)} days"
        for direction in Direction
        if (one := observed.get(direction)) is not None
    )
