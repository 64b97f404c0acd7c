"""Which MTA-STS policy counts for a domain now (RFC 8461, section 5.1), answered within a bound.

DNS and the policy hosts of other domains are asked in background jobs, at most one for each domain.
A question waits for its job only for a limited time, so that no other domain's server can block a
delivery process.

| a policy in force is known | the job                         | the question gets |
| yes                        | is not awaited long             | the policy known after the wait |
| no                         | found a policy, or none         | that |
| no                         | failed                          | as without a policy (section 5) |
| no                         | is not done within the bound    | Undecided: the mail waits |
| no                         | could not start: too many run   | Undecided |
| no                         | failed or was late recently     | as without a policy, at once |

In the last case a new job begins beside the answer.

A failed look-up of the `_mta-sts` record counts like a failed fetch: an attacker who can suppress
one can suppress the other, and the first contact is trusted in any case (section 10.2). A known
policy is not lost by it: it counts until its max_age is over.

Policies in use are refreshed before they end, however little mail there is.
"""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tlsgate.dns.lookups import LookupFailure
from tlsgate.events import emit
from tlsgate.mta_sts.cache import CACHE_ENTRIES, CachedPolicy, PolicyCache
from tlsgate.mta_sts.fetch import FetchFault
from tlsgate.mta_sts.policy import ENFORCE, PolicyFault, StsPolicy

_Value = TypeVar("_Value")

HOUR, DAY = 3600.0, 86_400.0

KNOWN_SECONDS = 1.0
"""How long a question waits for a newer policy than the known one."""
RECHECK_SECONDS = 60.0
"""A known policy is not asked for again before this, as in the library's responder."""
RETRY_SECONDS = 60.0
"""After a failure the domain is not asked again before this."""
FAILURE_SECONDS = 2 * HOUR
"""A failure is remembered for this: longer than Postfix waits between two attempts (5 min to 1 h by
default), or each attempt would find nothing remembered and wait again."""
REPORT_SECONDS = HOUR
"""A domain's failures are reported at most this often."""

JOBS_LIMIT = 800
"""Fetches, and look-ups of records beside them: more than Postfix's 100 processes can begin in the
8 s that a look-up may take."""
FETCHES_AT_ONCE = 100
FETCHES_WAITING = 200
"""If every host hangs, the last of them begins after 40 s. Less than JOBS_LIMIT leaves: domains
without a policy need a look-up, and wait for no host."""

USED_SECONDS = 30 * DAY
"""Policies that were not used for this long are no longer refreshed."""
REFRESH_SECONDS = 10.0
REFRESH_LIMIT = 10
"""Policies looked at again in each REFRESH_SECONDS: all that the cache holds in three hours."""

LOOKUP, FETCH, POLICY, LATE = "lookup", "fetch", "policy", "late"
"""Why it is as without a policy. LATE: there is none, but it took longer than a question waits."""


class Undecided(Exception):
    """It is not known yet whether there is a policy: the mail waits."""


class Source(Protocol):
    """Where policies come from (`tlsgate.mta_sts.fetch.PolicyFetcher`)."""

    async def policy_id(self, domain: str) -> str | None:
        """The id in DNS, None without one; raises LookupFailure."""
        ...

    async def fetch(self, domain: str) -> StsPolicy:
        """The policy; raises FetchFault, PolicyFault."""
        ...


@dataclass(frozen=True, slots=True)
class _Failure:
    """`again`: when a new job may begin; `over`: when it is forgotten. Both monotonic."""

    kind: str
    again: float
    over: float


class StsPolicies:
    """One for all questions. `timer`: monotonic seconds."""

    def __init__(
        self,
        source: Source,
        cache: PolicyCache,
        report: Callable[..., None] = emit,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._cache = cache
        self._report = report
        self._timer = timer
        self._jobs: dict[str, asyncio.Task[StsPolicy | None]] = {}
        self._given_up: set[str] = set()
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self._reported: OrderedDict[str, float] = OrderedDict()
        self._places = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._fetches = 0
        self._without: Counter[str] = Counter()
        self._undecided = 0

    async def policy(self, domain: str, seconds: float) -> StsPolicy | None:
        """The policy that counts for `domain`, None without one; within `seconds`.

        Raises Undecided.
        """
        try:
            return await self._policy(domain, seconds)
        except Undecided:
            self._undecided += 1
            raise

    async def _policy(self, domain: str, seconds: float) -> StsPolicy | None:
        known = self._cache.use(domain)
        if known is not None:
            if self._timer() - known.tried >= RECHECK_SECONDS:
                await self._look(domain, min(seconds, KNOWN_SECONDS))
            newer = self._cache.get(domain)
            return newer.policy if newer is not None else known.policy
        failure = self._failure(domain)
        if failure is not None:
            if self._timer() >= failure.again:
                self._begin(domain)
            self._without[failure.kind] += 1
            return None
        job = await self._look(domain, seconds)
        if job is None:
            raise Undecided("too many MTA-STS policies are being looked up")
        if not job.done():
            self._given_up.add(domain)
            raise Undecided(f"the MTA-STS policy of {domain} is being fetched")
        fault = job.exception()
        if fault is not None:
            raise fault if isinstance(fault, Undecided) else Undecided(f"a fault here: {fault!r}")
        failure = self._failure(domain)
        if failure is not None:
            self._without[failure.kind] += 1
        return job.result()

    def forget_failures(self) -> None:
        """Domains are asked again at once: the trusted CAs have changed."""
        self._failures.clear()

    def status(self) -> dict[str, Any]:
        """For people: policies in force by mode, jobs that run, and what questions got so far."""
        return {
            "policies": self._cache.counts(),
            "looking": len(self._jobs),
            "failing": dict(Counter(failure.kind for failure in self._failures.values())),
            "answered_without": dict(self._without),
            "answered_undecided": self._undecided,
            "file": self._cache.fault or "ok",
        }

    async def keep(self) -> None:
        """Refreshes policies, and writes them to the disk, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cache.keep())
            group.create_task(self._refresh_for_ever())

    def write(self) -> None:
        """Brings the disk up to date, at the end."""
        self._cache.write()

    async def _look(self, domain: str, seconds: float) -> asyncio.Task[StsPolicy | None] | None:
        """The domain's job after at most `seconds`; None if too many jobs run."""
        job = self._begin(domain)
        if job is not None:
            await asyncio.wait({job}, timeout=seconds)
        return job

    def _begin(self, domain: str) -> asyncio.Task[StsPolicy | None] | None:
        job = self._jobs.get(domain)
        if job is None and len(self._jobs) < JOBS_LIMIT:
            job = self._jobs[domain] = asyncio.create_task(self._job(domain))
            job.add_done_callback(lambda ended: self._ended(domain, ended))
        return job

    def _ended(self, domain: str, job: asyncio.Task[StsPolicy | None]) -> None:
        del self._jobs[domain]
        self._given_up.discard(domain)
        fault = None if job.cancelled() else job.exception()
        if fault is not None and not isinstance(fault, Undecided):
            what = f"the MTA-STS policy of {domain} could not be looked at"
            next_step = "What is known of it stays in force. It is tried again with the next mail."
            self._report("alert", what=what, reason=repr(fault)[:300], next=next_step)

    async def _job(self, domain: str) -> StsPolicy | None:
        """The policy in force after DNS and the policy host were asked. Raises Undecided."""
        known = self._cache.get(domain)
        if known is not None:
            known.tried = self._timer()
        try:
            found = await self._ask(domain)
        except LookupFailure as failure:
            self._fail(domain, LOOKUP, str(failure))
        except FetchFault as fault:
            self._fail(domain, FETCH, str(fault))
        except PolicyFault as fault:
            self._fail(domain, POLICY, str(fault))
        else:
            self._failures.pop(domain, None)
            if found is not None:
                return found
            if domain in self._given_up:
                self._remember(domain, LATE)
        known = self._cache.get(domain)
        return known.policy if known is not None else None

    async def _ask(self, domain: str) -> StsPolicy | None:
        """The policy that the domain publishes; the cache has it then."""
        started = self._cache.clock()
        policy_id = await self._source.policy_id(domain)
        if policy_id is None:
            return None
        known = self._cache.get(domain)
        if known is not None and known.policy_id == policy_id:
            self._cache.confirm(domain, started)
            return known.policy
        if self._fetches >= FETCHES_AT_ONCE + FETCHES_WAITING:
            raise Undecided("too many MTA-STS policies are being fetched")
        self._fetches += 1
        try:
            async with self._places:
                started = self._cache.clock()
                policy = await self._source.fetch(domain)
        finally:
            self._fetches -= 1
        self._cache.put(domain, policy_id, policy, started).tried = self._timer()
        return policy

    def _failure(self, domain: str) -> _Failure | None:
        failure = self._failures.get(domain)
        if failure is not None and self._timer() >= failure.over:
            del self._failures[domain]
            return None
        return failure

    def _fail(self, domain: str, kind: str, reason: str) -> None:
        now = self._timer()
        if now - self._reported.get(domain, -math.inf) >= REPORT_SECONDS:
            _put(self._reported, domain, now)
            self._report(
                "policy-fetch-failed",
                domain=domain,
                kind=kind,
                reason=reason[:300],
                next=f"It is tried again after {RETRY_SECONDS:.0f} s.",
            )
        self._remember(domain, kind)

    def _remember(self, domain: str, kind: str) -> None:
        now = self._timer()
        _put(self._failures, domain, _Failure(kind, now + RETRY_SECONDS, now + FAILURE_SECONDS))

    async def _refresh_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            self.refresh()

    def refresh(self) -> None:
        """Starts to refresh the policies that are due, the longest overdue first."""
        now = self._cache.clock()
        due = []
        for domain, entry in self._cache.in_force():
            if now - entry.used < USED_SECONDS:
                self._warn(domain, entry, now)
                if self._timer() - entry.tried >= min(HOUR, entry.policy.max_age / 10):
                    due.append((refresh_time(domain, entry), domain))
        for time_due, domain in sorted(due)[:REFRESH_LIMIT]:
            if time_due <= now:
                self._begin(domain)

    def _warn(self, domain: str, entry: CachedPolicy, now: float) -> None:
        left, age = entry.ends - now, entry.policy.max_age
        # Nobody could act in time on an alert about a policy that lasts less than a day.
        if age < DAY or entry.policy.mode != ENFORCE or entry.alerted:
            return
        if left < min(DAY, age / 4):
            entry.alerted = True
            failure = self._failures.get(domain)
            self._report(
                "alert",
                what=f"the MTA-STS policy of {domain} ends in {left / HOUR:.1f} h",
                reason=f"it could not be renewed: {failure.kind if failure else 'no record'}",
                next="It is tried again until then. Ask the domain's postmaster about its policy.",
            )


def _put(memory: OrderedDict[str, _Value], domain: str, value: _Value) -> None:
    """The last CACHE_ENTRIES stay."""
    memory[domain] = value
    memory.move_to_end(domain)
    if len(memory) > CACHE_ENTRIES:
        memory.popitem(last=False)


def refresh_time(domain: str, entry: CachedPolicy) -> float:
    """When a policy is to be looked at again: after a day or half of max_age at the latest.

    Up to a quarter sooner, domain by domain, so that they do not come all at once.
    """
    spread = zlib.crc32(domain.encode()) / 2**32
    return entry.fetched + min(DAY, entry.policy.max_age / 2) * (1 - spread / 4)
