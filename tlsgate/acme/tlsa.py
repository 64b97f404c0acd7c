"""TLSA `3 1 1` for the served key (RFC 6698, RFC 7671): the key's own digest, whoever signs it.

A renewal keeps the key, so these records stay right. They stand in DNS before a key is served.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlsgate.acme.dns01 import VISIBLE_SECONDS, Zone, dns_told
from tlsgate.events import emit


def value(spki_sha256: str) -> str:
    """DANE-EE, SPKI, SHA-256: the record's data."""
    return f"3 1 1 {spki_sha256}"


class Tlsa:
    """Publishes through the agent's own TSIG key."""

    def __init__(self, zone: Zone, ttl: int) -> None:
        self._zone = zone
        self._ttl = ttl

    def publish(self, owners: Sequence[str], spki_sha256: str) -> None:
        """Makes the records name this key and no other, and waits until they are seen.

        Changes nothing where they do already. Raises AcmeFault.
        """
        wanted = value(spki_sha256)
        for owner in owners:
            with dns_told(f"publishing TLSA {owner}"):
                if self._zone.read(owner, "TLSA") == (wanted,):
                    continue
                self._zone.set_tlsa(owner, (wanted,), self._ttl)
                self._zone.wait_visible(owner, "TLSA", wanted, VISIBLE_SECONDS)
            emit("tlsa", name=owner, value=wanted)

    def withdraw(self, owners: Sequence[str]) -> None:
        """Removes the records, when the gateway itself is taken down. Raises AcmeFault."""
        for owner in owners:
            with dns_told(f"removing TLSA {owner}"):
                self._zone.set_tlsa(owner, (), self._ttl)
            emit("tlsa", name=owner, value=None)
