"""What the gateway's policy helper answers for a domain, from the helper's own code.

The code runs here, because the sender's machine cannot reach the helper over the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsgate.certificates.trust import trust_store
from tlsgate.dns.lookups import DnsLookups

if TYPE_CHECKING:
    from tlsgate.policy.outbound import Responder

PATIENCE_SECONDS = 30.0
"""Longer than the helper waits: what it says in the end matters, not that it says TEMP before. More
than a look-up and a fetch take at most."""


class Policies:
    """`extra_ca`: PEM, the roots besides the system's that policy hosts may have."""

    def __init__(self, lookups: DnsLookups, extra_ca: str = "", https_port: int = 443) -> None:
        self._lookups = lookups
        self._extra_ca = extra_ca
        self._https_port = https_port
        self._responder: Responder | None = None

    async def answer(self, domain: str) -> tuple[str | None, str]:
        """The policy's text, None without one; and why the helper would defer, empty if not."""
        if self._responder is None:
            self._responder = self._start()
        answer = await self._responder.process_request(f"QUERY {domain}".encode("ascii"))
        # A netstring: length, colon, text, comma.
        status, _, text = answer.decode().partition(":")[2][:-1].partition(" ")
        match status:
            case "OK":
                return text, ""
            case "TEMP":
                return None, text
            case _:
                return None, ""

    def _start(self) -> Responder:
        # Half a second to load; a domain on the list does without.
        from tlsgate.mta_sts.cache import PolicyCache  # noqa: PLC0415
        from tlsgate.mta_sts.fetch import PolicyFetcher  # noqa: PLC0415
        from tlsgate.mta_sts.policies import StsPolicies  # noqa: PLC0415
        from tlsgate.policy.outbound import Responder  # noqa: PLC0415

        trust = trust_store(self._extra_ca)
        host = PolicyFetcher(self._lookups, lambda: trust, self._https_port)
        policies = StsPolicies(host, PolicyCache(), report=lambda *_, **__: None)
        return Responder(self._lookups, policies, seconds=PATIENCE_SECONDS)
