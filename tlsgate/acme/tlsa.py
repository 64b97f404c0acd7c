"""TLSA `3 1 1` for the served key (RFC 6698, RFC 7671): the key's own digest, whoever signs it.

A renewal keeps the key, so these records stay right. They stand in DNS before a key is served,
and while keys change, two stand there. What was published is noted on the state volume: whether
every authoritative server was seen to have it, and how long caches may hold what was there before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tlsgate.acme.challenges.dns01 import VISIBLE_SECONDS, Zone, explaining_dns_errors
from tlsgate.clock import Clock
from tlsgate.events import emit
from tlsgate.files import write_json


@dataclass(frozen=True, slots=True)
class Published:
    """The records of one owner. `ttl`: seconds. `seen`: since when every authoritative server
    has them. `cached_until`: until then a cache may hold what was there before. Times are UTC.
    """

    values: tuple[str, ...]
    ttl: int
    seen: datetime
    cached_until: datetime


def value(spki_sha256: str) -> str:
    """DANE-EE, SPKI, SHA-256: the record's data."""
    return f"3 1 1 {spki_sha256}"


class Noted:
    """tlsa.json: owner → what was published there and seen."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, owner: str) -> Published | None:
        """None for an owner of which nothing is known."""
        return self.all().get(owner)

    def put(self, owner: str, published: Published | None) -> None:
        """Keeps it; None forgets."""
        noted = {**self.all()}
        if published is None:
            noted.pop(owner, None)
        else:
            noted[owner] = published
        values = {
            name: {
                "values": list(one.values),
                "ttl": one.ttl,
                "seen": one.seen.isoformat(),
                "cached_until": one.cached_until.isoformat(),
            }
            for name, one in noted.items()
        }
        write_json(self._path, values)

    def all(self) -> Mapping[str, Published]:
        """Everything that is noted."""
        try:
            values = json.loads(self._path.read_text())
            return {
                name: Published(
                    tuple(one["values"]),
                    one["ttl"],
                    datetime.fromisoformat(one["seen"]),
                    datetime.fromisoformat(one["cached_until"]),
                )
                for name, one in values.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # a memory only: what is not noted is published and looked for anew


class Tlsa:
    """Publishes through the agent's own TSIG key."""

    def __init__(self, zone: Zone, ttl: int, noted: Noted, clock: Clock) -> None:
        self._zone = zone
        self._ttl = ttl
        self._noted = noted
        self._clock = clock

    def publish(self, owners: Sequence[str], keys: Sequence[str]) -> None:
        """Makes the records name these keys and no other, and waits until they are seen.

        `keys`: SPKI digests. Changes nothing where they do already. Raises AcmeFault.
        """
        wanted = tuple(sorted(value(key) for key in keys))
        for owner in owners:
            noted = self._noted.get(owner)
            known = noted is not None and (noted.values, noted.ttl) == (wanted, self._ttl)
            with explaining_dns_errors(f"publishing TLSA {owner}"):
                found = self._zone.read(owner, "TLSA")
                if known and tuple(sorted(found)) == wanted:
                    continue
                self._zone.set_tlsa(owner, wanted, self._ttl)
                for one in wanted:
                    self._zone.wait_visible(owner, "TLSA", one, VISIBLE_SECONDS)
            self._note(owner, wanted, noted)
            emit("tlsa", name=owner, values=list(wanted))

    def withdraw(self, owners: Sequence[str]) -> None:
        """Removes the records, when the gateway itself is taken down. Raises AcmeFault."""
        for owner in owners:
            with explaining_dns_errors(f"removing TLSA {owner}"):
                self._zone.set_tlsa(owner, (), self._ttl)
            self._noted.put(owner, None)
            emit("tlsa", name=owner, values=[])

    def _note(self, owner: str, wanted: tuple[str, ...], before: Published | None) -> None:
        now = self._clock()
        cached_until = now + timedelta(seconds=before.ttl if before else self._ttl)
        if before is not None:
            cached_until = max(cached_until, before.cached_until)
        self._noted.put(owner, Published(wanted, self._ttl, now, cached_until))
