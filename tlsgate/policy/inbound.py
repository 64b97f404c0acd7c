"""The policy service that binds a sender's domain to its partner (design decision D16).

Postfix asks it only about domains that the partner maps send here. If it does not answer, or
answers nonsense, Postfix defers (smtpd_policy_service_default_action): down means 4xx.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tlsgate.events import emit
from tlsgate.policy.delegation import (
    REQUEST_LIMIT,
    MalformedRequest,
    answer,
    parse_request,
)
from tlsgate.policy.identities import NO_LIST, IdentityIndex, Verdict, decide

IDLE_SECONDS = 1200.0
"""Postfix closes a connection itself after smtpd_policy_service_max_ttl, 1000 s."""
MAX_CONNECTIONS = 1000


class IdentityService:
    """Serves connections; `index` gives the list in force, or None while there is none."""

    def __init__(self, index: Callable[[], IdentityIndex | None]) -> None:
        self._index = index
        self._connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: any number of requests, one after the other."""
        if self._connections >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            while True:
                block = await asyncio.wait_for(reader.readuntil(b"\n\n"), IDLE_SECONDS)
                writer.write(answer(self._decide(block[:-2])))
                await writer.drain()
        except MalformedRequest as fault:
            emit("alert", what="policy request refused", reason=str(fault))
        except asyncio.LimitOverrunError:
            emit("alert", what="policy request refused", reason=f"over {REQUEST_LIMIT} octets")
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass  # the client has gone, as it may between two requests
        finally:
            self._connections -= 1
            writer.close()

    def _decide(self, block: bytes) -> str:
        request = parse_request(block)
        index = self._index()
        if index is None:
            verdict = Verdict(NO_LIST, "", "no list of partners has been delivered yet")
        else:
            verdict = decide(index, request)
        if verdict.reason:
            emit(
                "refused",
                partner=verdict.partner,
                domain=request.sender_domain,
                client=str(request.client),
                reason=verdict.reason,
            )
        return verdict.action
