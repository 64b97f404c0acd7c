"""When to renew, given what the CA suggests: ARI (RFC 9773). Pure.

The suggestion is asked for often, the instant within its window is chosen once and kept. It can
bring a renewal forward, or put it off within reason; it can never prevent one: if it is missing,
malformed, too late or failing, the fallback rule applies, from `tlsgate.acme.renewal.decision`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from tlsgate.acme.ca.renewal_info import Suggestion, Window
from tlsgate.acme.renewal.decision import latest_renewal
from tlsgate.record import Count, Record, Time

USUAL_LOOK = timedelta(hours=6)
"""Where the CA does not say (RFC 9773, section 4.3.3)."""
SHORTEST_LOOK, LONGEST_LOOK = timedelta(minutes=1), timedelta(hours=12)
AFTER_ERRORS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), USUAL_LOOK)

Random = Callable[[], float]
"""From 0 up to, but not including, 1."""


class Advice(Record, frozen=True):
    """What is kept of the answers for one certificate. `errors`: in a row. Times are UTC."""

    next_look: Time
    window: Window | None = None
    chosen: Time | None = None
    error: str | None = None
    errors: Count = 0


def after_answer(
    before: Advice | None,
    suggestion: Suggestion,
    validity: tuple[datetime, datetime],
    now: datetime,
    random: Random,
) -> Advice:
    """The advice after an answer. `validity`: the certificate's not before and not after."""
    found = suggestion.window
    chosen = _chosen(before, found, latest_renewal(*validity), random)
    error = None if chosen else f"its window begins too late: {found.start:%Y-%m-%d %H:%M:%S} UTC"
    return Advice(_look(suggestion.look_at, USUAL_LOOK, now), found, chosen, error)


def without_support(now: datetime) -> Advice:
    """The advice if the CA gives no renewal information."""
    return Advice(now + USUAL_LOOK, error="the CA gives no renewal information")


def after_error(
    before: Advice | None, error: str, look_at: datetime | None, now: datetime
) -> Advice:
    """The advice after no usable answer: what was known is kept."""
    before = before or Advice(now)
    wait = AFTER_ERRORS[min(before.errors, len(AFTER_ERRORS) - 1)]
    next_look = max(now + wait, _look(look_at, wait, now))
    return replace(before, next_look=next_look, error=error, errors=before.errors + 1)


def should_ask(advice: Advice | None, now: datetime) -> bool:
    """Whether it is time to ask. A clock that was set back does not put it off for long."""
    return advice is None or not now < advice.next_look <= now + LONGEST_LOOK


def renewal(advice: Advice | None, own: datetime) -> datetime:
    """When to renew. `own`: by the fallback rule."""
    if advice is None or advice.chosen is None:
        return own
    # What was known before the CA stopped answering may bring the renewal forward, not put it off.
    return min(advice.chosen, own) if advice.error else advice.chosen


def _chosen(
    before: Advice | None, found: Window, latest: datetime, random: Random
) -> datetime | None:
    if found.start > latest:
        return None
    end = min(found.end, latest)
    if before and before.chosen and found.start <= before.chosen <= end:
        return before.chosen
    return found.start + (end - found.start) * random()


def _look(look_at: datetime | None, otherwise: timedelta, now: datetime) -> datetime:
    wait = look_at - now if look_at else otherwise
    return now + min(max(wait, SHORTEST_LOOK), LONGEST_LOOK)
