"""Sessions with servers: one connection at a time to an address, and each session only once.

Domains that share a server share its sessions: what a server shows does not depend on who asks.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from tlsgate.smtp.dialogue import Limits, Session, talk
from tlsgate.smtp.offers import Contexts, Offer


class SessionPool:
    """All sessions of one run; at most `at_once` of them are open."""

    def __init__(self, contexts: Contexts, limits: Limits, at_once: int) -> None:
        self._contexts = contexts
        self._limits = limits
        self._slots = asyncio.Semaphore(at_once)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sessions: dict[tuple[str, Offer], Session] = {}

    async def session(self, address: str, offer: Offer) -> Session:
        """What the server at `address` shows to the offer."""
        async with self._locks[address]:
            known = self._sessions.get((address, offer))
            if known is None:
                async with self._slots:
                    known = await talk(address, self._contexts.of(offer), offer.sni, self._limits)
                self._sessions[address, offer] = known
            return known
