"""The agent's way to DNS: what it needs of a zone, and DNS errors as AcmeFault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

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
        """Replaces the TLSA records of the name."""

    def wait_visible(self, name: str, rtype: str, value: str, timeout: float) -> None:
        """Waits until every authoritative server answers with it."""


@contextmanager
def explaining_dns_errors(doing: str) -> Iterator[None]:
    """A DnsError inside the block becomes an AcmeFault; its text contains a remedy."""
    try:
        yield
    except DnsError as fault:
        remedy = "Fix that and try again; what was done so far is kept"
        raise AcmeFault(f"{doing}: {str(fault).rstrip('.')}", remedy) from fault
