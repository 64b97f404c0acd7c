"""A CA's limits, which a client has to count itself: no CA says how much is left. Pure.

The defaults are Let's Encrypt's published limits; agent.json can set others. An order that replaces
a certificate (RFC 9773) does not count at the CA, so those have a limit of their own: a CA that
suggests a renewal in the past for each new certificate must not cause endless orders.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta

from tlsgate.record import Record

KINDS = {
    "orders": (300, 3 * 3600, "new orders of the account"),
    "duplicates": (5, 7 * 86400, "certificates for exactly these names"),
    "replacements": (20, 7 * 86400, "replaced certificates for exactly these names"),
    "failed_authorizations": (5, 3600, "failed validations of the name"),
}
"""Key in agent.json → count, seconds, and what is counted."""


class Limit(Record, frozen=True):
    """No more than `count` within `seconds`."""

    count: Annotated[int, Meta(ge=1, le=1_000_000)]
    seconds: Annotated[int, Meta(ge=1, le=366 * 86400)]

    def free_at(self, times: Iterable[datetime], now: datetime) -> datetime | None:
        """When one more is allowed; None for now."""
        since = now - timedelta(seconds=self.seconds)
        recent = sorted(time for time in times if time > since)
        if len(recent) < self.count:
            return None
        return recent[-self.count] + timedelta(seconds=self.seconds)


class Limits(Record, frozen=True, omit_defaults=True):
    """The limits of one account at one CA."""

    orders: Limit = Limit(*KINDS["orders"][:2])
    duplicates: Limit = Limit(*KINDS["duplicates"][:2])
    replacements: Limit = Limit(*KINDS["replacements"][:2])
    failed_authorizations: Limit = Limit(*KINDS["failed_authorizations"][:2])

    def of(self, kind: str) -> Limit:
        """By its key in agent.json."""
        found: Limit = getattr(self, kind)
        return found
