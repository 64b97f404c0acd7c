"""The MTA-STS policies that are known: in memory, with a copy in `tlsgate.mta_sts.cache_file`.

A policy is in force for max_age after it was fetched, or after its id was seen again in DNS (RFC
8461, sections 3.1 and 5.1); nothing else extends it. The wall clock decides, because its time
survives restarts. A time in the future, which is left when a clock is set back, counts as now. A
policy whose time is over is not in force, and is deleted only when its place is needed: a clock
that is wrong for a while deletes nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tlsgate.mta_sts.cache_file import PolicyFile, Row
from tlsgate.mta_sts.policy import StsPolicy

CACHE_ENTRIES = 10_000
CACHE_OCTETS = 32 * 1024 * 1024
"""Of all entries together, about: outsiders choose the policies' length, and memory is limited."""
ENTRY_OCTETS = 1024
"""Of an entry beside its mx."""
HOST_OCTETS = 64
"""Of one mx beside its text."""
USED_STEP_SECONDS = 3600.0
"""How exactly the time of the last use is kept: each step is a write."""
WRITE_SECONDS = 2.0
WRITE_RETRY_SECONDS = 60.0


@dataclass(slots=True)
class CachedPolicy:
    """A policy of a domain. Times are seconds of the epoch.

    `tried`: when it was last asked whether there is another (monotonic; not on the disk).
    `alerted`: an alert says that it ends.
    """

    policy_id: str
    policy: StsPolicy
    fetched: float
    used: float
    tried: float = -math.inf
    alerted: bool = False

    @property
    def octets(self) -> int:
        """Its approximate size in memory."""
        return ENTRY_OCTETS + sum(HOST_OCTETS + len(host) for host in self.policy.mx)

    @property
    def ends(self) -> float:
        """When it stops being in force."""
        return self.fetched + self.policy.max_age


class PolicyCache:
    """`file`: None to keep nothing. `clock`: seconds of the epoch."""

    def __init__(
        self, file: PolicyFile | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self.clock = clock
        self._entries: OrderedDict[str, CachedPolicy] = OrderedDict()
        self._octets = 0
        self._changed: set[str] = set()
        for row in file.load() if file is not None else ():
            self._restore(row)

    def get(self, domain: str) -> CachedPolicy | None:
        """The entry of a policy that is in force."""
        entry = self._entries.get(domain)
        if entry is None:
            return None
        now = self.clock()
        if entry.fetched > now:
            entry.fetched = now
            self._changed.add(domain)
        return entry if now <= entry.ends else None

    def use(self, domain: str) -> CachedPolicy | None:
        """As `get`, for mail that goes there now."""
        entry = self.get(domain)
        if entry is not None:
            self._entries.move_to_end(domain)
            now = self.clock()
            if abs(now - entry.used) >= USED_STEP_SECONDS:
                entry.used = now
                self._changed.add(domain)
        return entry

    def put(self, domain: str, policy_id: str, policy: StsPolicy, fetched: float) -> CachedPolicy:
        """A policy that was fetched at `fetched`; it takes the place of the one before."""
        before = self._entries.get(domain)
        entry = CachedPolicy(
            policy_id, policy, fetched, before.used if before is not None else fetched
        )
        self._set(domain, entry)
        self._changed.add(domain)
        return entry

    def confirm(self, domain: str, seen: float) -> None:
        """The id of the policy in force was seen in DNS at `seen`."""
        entry = self._entries[domain]
        entry.fetched, entry.alerted = seen, False
        self._changed.add(domain)

    def in_force(self) -> Iterator[tuple[str, CachedPolicy]]:
        """All that are, the least recently used first."""
        for domain in list(self._entries):
            entry = self.get(domain)
            if entry is not None:
                yield domain, entry

    def counts(self) -> dict[str, int]:
        """How many are in force, by mode."""
        return dict(Counter(entry.policy.mode for _, entry in self.in_force()))

    @property
    def fault(self) -> str:
        """What is wrong with the copy on the disk; "" for nothing."""
        return self._file.fault if self._file is not None else ""

    def write(self) -> bool:
        """Brings the copy up to date; False if that failed."""
        rows = self._taken()
        return self._file is None or not rows or self._settle(rows, self._file.write(rows))

    async def keep(self) -> None:
        """Writes for ever, beside the loop that answers."""
        while self._file is not None:
            await asyncio.sleep(WRITE_SECONDS)
            rows = self._taken()
            if not rows:
                continue
            written = await asyncio.to_thread(self._file.write, rows)
            if not self._settle(rows, written):
                await asyncio.sleep(WRITE_RETRY_SECONDS)

    def _taken(self) -> dict[str, Row | None]:
        rows = {domain: self._row(domain) for domain in self._changed}
        self._changed = set()
        return rows

    def _settle(self, rows: dict[str, Row | None], written: bool) -> bool:
        if not written:
            self._changed |= rows.keys() | self._entries.keys()
        return written

    def _row(self, domain: str) -> Row | None:
        entry = self._entries.get(domain)
        if entry is None:
            return None
        policy = entry.policy
        hosts = " ".join(policy.mx)
        times = (entry.fetched, entry.used)
        return Row(domain, entry.policy_id, policy.mode, hosts, policy.max_age, *times)

    def _restore(self, row: Row) -> None:
        now = self.clock()
        entry = CachedPolicy(row.policy_id, row.policy(), min(row.fetched, now), min(row.used, now))
        self._set(row.domain, entry)

    def _set(self, domain: str, entry: CachedPolicy) -> None:
        before = self._entries.get(domain)
        self._octets += entry.octets - (before.octets if before is not None else 0)
        self._entries[domain] = (
            entry  # an existing one keeps its place: this does not count as a use
        )
        while len(self._entries) > CACHE_ENTRIES or self._octets > CACHE_OCTETS:
            gone, old = self._entries.popitem(last=False)
            self._octets -= old.octets
            self._changed.add(gone)
