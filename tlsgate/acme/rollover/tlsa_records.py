"""TLSA `3 1 1` for the served key (RFC 6698, RFC 7671): the key's own digest, whoever signs it.

A renewal keeps the key, so these records stay valid. They are in DNS before a key is served,
and during a change of keys there are two. What was published is saved on the state volume: since
when every authoritative server has it, and how long caches may hold the earlier records.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from tlsgate.acme.dns_zone import VISIBLE_SECONDS, Zone, explaining_dns_errors
from tlsgate.clock import Clock
from tlsgate.events import emit
from tlsgate.record import Count, Record, Time
from tlsgate.state import StateMap


class Published(Record, frozen=True):
    """The records of one owner. `ttl`: seconds. `seen`: since when every authoritative server
    has them. `cached_until`: until then a cache may hold earlier records. Times are UTC.
    """

    values: tuple[str, ...]
    ttl: Count
    seen: Time
    cached_until: Time


def value(spki_sha256: str) -> str:
    """DANE-EE, SPKI, SHA-256: the record's data."""
    return f"3 1 1 {spki_sha256}"


class PublishedRecords(StateMap[Published]):
    """tlsa.json: owner → what was published there and seen."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Published, loss="TLSA records are looked for and published again.")


class Tlsa:
    """Publishes through the agent's own TSIG key."""

    def __init__(self, zone: Zone, ttl: int, saved: PublishedRecords, clock: Clock) -> None:
        self._zone = zone
        self._ttl = ttl
        self._saved = saved
        self._clock = clock

    def publish(self, owners: Sequence[str], keys: Sequence[str]) -> None:
        """Publishes records for these keys and no others, and waits until they are visible.

        `keys`: SPKI digests. Changes nothing where they do already. Raises AcmeFault.
        """
        wanted = tuple(sorted(value(key) for key in keys))
        for owner in owners:
            before = self._saved.get(owner)
            known = before is not None and (before.values, before.ttl) == (wanted, self._ttl)
            with explaining_dns_errors(f"publishing TLSA {owner}"):
                found = self._zone.read(owner, "TLSA")
                if known and tuple(sorted(found)) == wanted:
                    continue
                self._zone.set_tlsa(owner, wanted, self._ttl)
                for one in wanted:
                    self._zone.wait_visible(owner, "TLSA", one, VISIBLE_SECONDS)
            self._record(owner, wanted, before)
            emit("tlsa", name=owner, values=list(wanted))

    def withdraw(self, owners: Sequence[str]) -> None:
        """Removes the records, when the gateway is deleted. Raises AcmeFault."""
        for owner in owners:
            with explaining_dns_errors(f"removing TLSA {owner}"):
                self._zone.set_tlsa(owner, (), self._ttl)
            self._saved.put(owner, None)
            emit("tlsa", name=owner, values=[])

    def _record(self, owner: str, wanted: tuple[str, ...], before: Published | None) -> None:
        now = self._clock()
        cached_until = now + timedelta(seconds=before.ttl if before else self._ttl)
        if before is not None:
            cached_until = max(cached_until, before.cached_until)
        self._saved.put(owner, Published(wanted, self._ttl, now, cached_until))
