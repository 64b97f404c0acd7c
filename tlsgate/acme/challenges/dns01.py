"""dns-01 (RFC 8555, section 8.4): a TXT record below `_acme-challenge`, written by RFC 2136."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tlsgate.acme.challenges.responses import Proof
from tlsgate.acme.faults import AcmeFault
from tlsgate.dns.errors import DnsError

VISIBLE_SECONDS = 120.0


class Zone(Protocol):
    """What the agent needs of DNS: `tlsgate.dns.agent.AgentZone`. Every method raises DnsError."""

    def add_text(self, name: str, value: str, ttl: int) -> None:
        """Adds one TXT value beside others."""

    def remove_text(self, name: str, value: str) -> None:
        """Removes that value, not the set."""

    def read(self, name: str, rtype: str) -> tuple[str, ...]:
        """What the authoritative server holds."""

    def set_tlsa(self, name: str, values: tuple[str, ...], ttl: int) -> None:
        """Makes these the TLSA records of the name."""

    def wait_visible(self, name: str, rtype: str, value: str, timeout: float) -> None:
        """Until every authoritative server answers with it."""


class Dns01:
    """TXT records through the agent's own TSIG key."""

    type = "dns-01"

    def __init__(self, zone: Zone, ttl: int) -> None:
        self._zone = zone
        self._ttl = ttl

    def place(self, proof: Proof) -> None:
        """Adds the value: others may stand there for another client."""
        with dns_told(f"publishing TXT {_owner(proof)}"):
            self._zone.add_text(_owner(proof), proof.text, self._ttl)

    def wait(self, proof: Proof) -> None:
        """Until the authoritative servers answer with it."""
        with dns_told(f"waiting for TXT {_owner(proof)}"):
            self._zone.wait_visible(_owner(proof), "TXT", proof.text, VISIBLE_SECONDS)

    def remove(self, proof: Proof) -> None:
        """Removes the value."""
        with dns_told(f"removing TXT {_owner(proof)}"):
            self._zone.remove_text(_owner(proof), proof.text)

    def where(self, proof: Proof) -> str:
        """The record, and what the authoritative server holds."""
        looks = f'The CA looks for TXT {_owner(proof)} "{proof.text}"'
        try:
            found = self._zone.read(_owner(proof), "TXT")
        except DnsError as fault:
            return f"{looks}; the authoritative server cannot be asked: {fault}"
        return f"{looks}; the authoritative server has {', '.join(found) or 'no such record'}"


@contextmanager
def dns_told(doing: str) -> Iterator[None]:
    """Whatever DNS refuses inside becomes an AcmeFault; its text holds its own remedy."""
    try:
        yield
    except DnsError as fault:
        remedy = "Mend that and try again; what was done so far is kept"
        raise AcmeFault(f"{doing}: {str(fault).rstrip('.')}", remedy) from fault


def _owner(proof: Proof) -> str:
    return f"_acme-challenge.{proof.name}"
