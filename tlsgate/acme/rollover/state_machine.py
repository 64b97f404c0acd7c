"""A key roll-over as a state machine (RFC 7671, section 8.1), apart from renewal. Pure.

    key → publish → spread → order → [revoke] → settle → retire

Renewals go on meanwhile: each of them takes the key that `key_to_order` names. What is published
follows from the state alone, `published_keys`, so that a process that was killed at any moment
publishes the same again. The served key is in that set at every step, and has been for two TTLs
before it is served: no cache anywhere holds records without it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec.structs import replace

from tlsgate.record import Record, Time

HOLD = timedelta(days=7)
"""How long the schedule waits after a roll-over that was undone."""
UNDONE = "undone"
"""The reason of a roll-over back to the previous key."""


class Step(StrEnum):
    """What has to be done next, or waited for."""

    KEY = "key"
    """The next key has to be made."""
    PUBLISH = "publish"
    """The next key's record has to be published beside the current one, on every name server."""
    SPREAD = "spread"
    """Caches may hold records without the next key."""
    ORDER = "order"
    """A certificate of the next key has to be ordered, checked, and put in service."""
    REVOKE = "revoke"
    """The certificates of the old key have to be revoked."""
    SETTLE = "settle"
    """The old key's record stays, for clients that are connected to a server with the old key."""
    RETIRE = "retire"
    """The old key's record has to be removed."""
    HELD = "held"
    """Undone; the schedule waits."""


class Event(StrEnum):
    """What happened to a roll-over."""

    MADE = "made"
    PUBLISHED = "published"
    SPREAD = "spread"
    REVOKED = "revoked"
    SETTLED = "settled"
    RETIRED = "retired"


class Rollover(Record, frozen=True):
    """`old`, `new`: SPKI digests; `new` is empty until the key is made. `begun`, `switched`: UTC.

    `now`: does not wait for caches. `revoke`: the old key is compromised.
    """

    step: Step
    reason: str
    begun: Time
    old: str
    new: str = ""
    now: bool = False
    revoke: bool = False
    switched: Time | None = None


_BEFORE_SWITCH = (Step.KEY, Step.PUBLISH, Step.SPREAD, Step.ORDER)
_NEXT = {
    (Step.KEY, Event.MADE): Step.PUBLISH,
    (Step.PUBLISH, Event.PUBLISHED): Step.SPREAD,
    (Step.SPREAD, Event.SPREAD): Step.ORDER,
    (Step.REVOKE, Event.REVOKED): Step.SETTLE,
    (Step.SETTLE, Event.SETTLED): Step.RETIRE,
    (Step.RETIRE, Event.RETIRED): None,
}


def next_state(state: Rollover, event: Event, now: datetime, key: str = "") -> Rollover | None:
    """The state after an event; None when the roll-over is over. `key`: the one that was made.

    Raises KeyError for an event that does not belong to the step.
    """
    step = _NEXT[state.step, event]
    if event is Event.MADE:
        return replace(state, step=Step.PUBLISH, new=key)
    if step is not None:
        return replace(state, step=step)
    return _held(state.new, now) if state.reason == UNDONE else None


def observed(state: Rollover, served: str, now: datetime) -> Rollover | None:
    """The state corrected by the served key: if the next key is served, the switch happened.

    None if the served key is neither the old nor the next one: the roll-over cannot continue.
    """
    if state.step is Step.HELD:
        return state if now < state.begun + HOLD else None
    if state.step in _BEFORE_SWITCH:
        if served == state.old:
            return state
        if state.new and served == state.new:
            step = Step.REVOKE if state.revoke else Step.SETTLE
            return replace(state, step=step, switched=now)
        return None
    return state if served == state.new else None


def resumed(state: Rollover, next_key: str | None) -> Rollover:
    """The state corrected by the next key's file: without that key, another one has to be made."""
    lost = state.step in _BEFORE_SWITCH and state.new != (next_key or "")
    return replace(state, step=Step.KEY, new="") if lost and state.new else state


def requested(state: Rollover | None, begin: Rollover) -> Rollover:
    """A person asks for a roll-over: a new one, or the one under way with what was asked for.

    `begin` is the new one; its `now` and `revoke` are added to one under way.
    """
    if state is None or state.step is Step.HELD:
        return begin
    now, revoke = state.now or begin.now, state.revoke or begin.revoke
    step = state.step
    if revoke and not state.revoke and step in (Step.SETTLE, Step.RETIRE):
        step = Step.REVOKE
    return replace(state, step=step, now=now, revoke=revoke)


def undone(state: Rollover, now: datetime) -> Rollover:
    """Back to the old key: before the switch there is nothing to wait for; after it, the record
    of the key that was given up stays as long as the old one's would have.
    """
    if state.step in _BEFORE_SWITCH:
        return _held(state.old, now)
    return Rollover(Step.SETTLE, UNDONE, state.begun, old=state.new, new=state.old, switched=now)


def _held(key: str, now: datetime) -> Rollover:
    return Rollover(Step.HELD, UNDONE, now, key)


def published_keys(state: Rollover | None, served: str) -> tuple[str, ...]:
    """The keys that need TLSA records, the served one first."""
    if state is None or state.step in (Step.KEY, Step.RETIRE, Step.HELD):
        return (served,)
    if state.step is Step.REVOKE and state.now:
        return (served,)  # the record of a compromised key is removed at once
    return tuple(dict.fromkeys((served, state.new, state.old)))


def key_to_order(state: Rollover | None) -> str | None:
    """The key that the next certificate is ordered for; None for the served one."""
    return state.new if state is not None and state.step is Step.ORDER else None


def settled_at(state: Rollover, ttl: timedelta) -> datetime | None:
    """When the old record may go: two TTLs after the switch; None if it need not wait."""
    return state.switched + 2 * ttl if state.switched and not state.now else None


def is_due(key_made: datetime, every_days: int, now: datetime) -> bool:
    """Whether the schedule wants another key; `every_days` 0: never."""
    return every_days > 0 and now >= key_made + timedelta(days=every_days)
