"""Open orders: the CA accepted them but has not issued yet. They are continued, not repeated.

A CA may take hours to issue, and a process may be killed while it waits. The order's URI is saved
as soon as the CA has sent it; the order's key stays in the staged generation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tlsgate.acme.keys import spki_sha256
from tlsgate.acme.orders.request import Request
from tlsgate.files import write_json

_FORGOTTEN = timedelta(days=7)
"""No CA keeps an open order for longer."""


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order at the CA. `replaces`: whether the CA took it as a replacement."""

    uri: str
    replaces: bool


class OpenOrders:
    """orders.json of the account at one CA."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, request: Request, profile: str | None) -> PlacedOrder | None:
        """The order for exactly these names, this key and this profile."""
        entry = self._read().get(_key(request, profile))
        return PlacedOrder(entry["uri"], entry["replaces"]) if entry else None

    def keep(
        self, request: Request, profile: str | None, placed: PlacedOrder, now: datetime
    ) -> None:
        """Saves an order, before anything is done for it."""
        kept = {
            key: entry
            for key, entry in self._read().items()
            if now - datetime.fromisoformat(entry["at"]) < _FORGOTTEN
        }
        entry = {**asdict(placed), "at": now.isoformat()}
        write_json(self._path, {**kept, _key(request, profile): entry})

    def forget(self, request: Request, profile: str | None) -> None:
        """Deletes an order that is finished or has failed."""
        kept = self._read()
        if kept.pop(_key(request, profile), None) is not None:
            write_json(self._path, kept)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            values = json.loads(self._path.read_text())
            return {
                key: {name: entry[name] for name in ("uri", "replaces", "at")}
                for key, entry in values.items()
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _key(request: Request, profile: str | None) -> str:
    parts = (profile or "", spki_sha256(request.key.public_key()), *sorted(request.names))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
