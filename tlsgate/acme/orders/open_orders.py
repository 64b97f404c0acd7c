"""Open orders: the CA accepted them but has not issued yet. They are continued, not repeated.

A CA may take hours to issue, and a process may be killed while it waits. The order's URI is saved
as soon as the CA has sent it; the order's key stays in the staged generation.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

from tlsgate.acme.keys import spki_sha256
from tlsgate.acme.orders.request import Request
from tlsgate.record import Record, Time
from tlsgate.state import StateMap

_FORGOTTEN = timedelta(days=7)
"""No CA keeps an open order for longer."""


class PlacedOrder(Record, frozen=True):
    """An order at the CA. `replaces`: whether the CA took it as a replacement. `at`: when."""

    uri: str
    replaces: bool
    at: Time


class OpenOrders:
    """orders.json of the account at one CA."""

    def __init__(self, path: Path) -> None:
        loss = "An order that is not filled yet is placed again."
        self._orders = StateMap(path, PlacedOrder, loss=loss)

    def get(self, request: Request, profile: str | None) -> PlacedOrder | None:
        """The order for exactly these names, this key and this profile."""
        return self._orders.get(_key(request, profile))

    def keep(self, request: Request, profile: str | None, placed: PlacedOrder) -> None:
        """Saves an order, before anything is done for it."""
        since = placed.at - _FORGOTTEN
        self._orders.put(_key(request, profile), placed, lambda one: one.at > since)

    def forget(self, request: Request, profile: str | None) -> None:
        """Deletes an order that is finished or has failed."""
        self._orders.put(_key(request, profile), None)


def _key(request: Request, profile: str | None) -> str:
    parts = (profile or "", spki_sha256(request.key.public_key()), *sorted(request.names))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
