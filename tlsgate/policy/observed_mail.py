"""Mail to an observed partner: would the gateway have held it under the partner's own rule?

The partner's servers are contacted as the gateway would do it, at most once in ten minutes for a
domain and without delaying any message: the message is counted when the answer is known. What
cannot be found out counts as held, because it is no evidence that the rule can be enforced.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tlsgate.events import emit
from tlsgate.policy.observations import OUTBOUND, Observations

VALID_SECONDS = 600.0
AT_ONCE = 4
DOMAINS_KNOWN = 1000
UNKNOWN = "not-found-out"


@dataclass(frozen=True, slots=True)
class _Result:
    policy: str
    until: float
    reason: str


class ObservedMail:
    """`check(domain, policy)`: why mail to the domain would be held under the policy, "" if not."""

    def __init__(
        self,
        observations: Observations,
        check: Callable[[str, str], Awaitable[str]],
        clock: Callable[[], float],
    ) -> None:
        self._observations = observations
        self._check = check
        self._clock = clock
        self._known: OrderedDict[str, _Result] = OrderedDict()
        self._waiting: dict[tuple[str, str, str], int] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def message(self, partner: str, domain: str, policy: str) -> None:
        """A message goes to `domain`, which this partner's `policy` is for. Returns at once."""
        known = self._known.get(domain)
        if known and known.policy == policy and self._clock() < known.until:
            self._observations.count(partner, OUTBOUND, known.reason)
            return
        key = (partner, domain, policy)
        if key in self._waiting:
            self._waiting[key] += 1
        elif len(self._waiting) >= DOMAINS_KNOWN:
            self._observations.count(partner, OUTBOUND, UNKNOWN)
        else:
            self._waiting[key] = 1
            task = asyncio.create_task(self._find_out(*key))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _find_out(self, partner: str, domain: str, policy: str) -> None:
        try:
            async with self._slots:
                reason = await self._check(domain, policy)
        except Exception as fault:  # reported, and counted as held
            emit(
                "alert",
                what=f"{domain} could not be checked",
                reason=repr(fault)[:300],
                next="Its messages count as held. It is checked again with the next message.",
            )
            reason = UNKNOWN
        messages = self._waiting.pop((partner, domain, policy))
        self._known[domain] = _Result(policy, self._clock() + VALID_SECONDS, reason)
        self._known.move_to_end(domain)
        if len(self._known) > DOMAINS_KNOWN:
            self._known.popitem(last=False)
        self._observations.count(partner, OUTBOUND, reason, messages)
        if reason:
            emit("observed", partner=partner, domain=domain, would_hold=reason)
