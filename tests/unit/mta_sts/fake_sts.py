"""Policy hosts of others, and both clocks, for tests without a network or a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.support.fake_clock import FakeClock
from tlsgate.dns.lookups import LookupFailure
from tlsgate.mta_sts.cache import PolicyCache
from tlsgate.mta_sts.fetch import FetchFault, PolicyFetcher
from tlsgate.mta_sts.policies import StsPolicies
from tlsgate.mta_sts.policy import StsPolicy, parse_policy

ENFORCE = "version: STSv1\r\nmode: enforce\r\nmx: mx1.example\r\nmax_age: 864000\r\n"
NOW = 1_790_000_000.0


class FakeHosts:
    """Domain → id and domain → policy file; None fails.

    An Event hangs until it is set; then there is no id, or the file that is there by then.
    """

    def __init__(
        self,
        ids: Mapping[str, str | asyncio.Event | None] | None = None,
        files: Mapping[str, str | asyncio.Event | None] | None = None,
    ) -> None:
        self.ids = dict({"d.example": "1"} if ids is None else ids)
        self.files = dict({"d.example": ENFORCE} if files is None else files)
        self.looked: list[str] = []
        self.fetched: list[str] = []

    async def policy_id(self, domain: str) -> str | None:
        self.looked.append(domain)
        found = self.ids.get(domain, "")
        if isinstance(found, asyncio.Event):
            await found.wait()
            return None
        if found is None:
            raise LookupFailure(f"TXT of _mta-sts.{domain}: SERVFAIL")
        return found or None

    async def fetch(self, domain: str) -> StsPolicy:
        self.fetched.append(domain)
        found = self.files.get(domain)
        if isinstance(found, asyncio.Event):
            await found.wait()
            found = self.files[domain]
        assert not isinstance(found, asyncio.Event)
        if found is None:
            raise FetchFault("connection refused")
        return parse_policy(found)


class LocalHost(PolicyFetcher):
    """The real look-up of the id; the file from `body`, None fails, an Event hangs for ever."""

    body: str | asyncio.Event | None = None
    fetched = 0

    async def fetch(self, domain: str) -> StsPolicy:
        self.fetched += 1
        if isinstance(self.body, asyncio.Event):
            await self.body.wait()
        if not isinstance(self.body, str):
            raise FetchFault("connection refused")
        return parse_policy(self.body)


class World:
    """Policies with all that is around them; `alerted` holds the events."""

    def __init__(self, hosts: FakeHosts | None = None, cache: PolicyCache | None = None) -> None:
        self.hosts = hosts or FakeHosts()
        self.wall = FakeClock(NOW)
        self.timer = FakeClock()
        self.alerted: list[dict[str, Any]] = []
        self.cache = cache or PolicyCache(clock=self.wall)
        self.policies = StsPolicies(
            self.hosts,
            self.cache,
            lambda event, **fields: self.alerted.append({"event": event, **fields}),
            self.timer,
        )

    def after(self, seconds: float) -> None:
        """Both clocks go on."""
        self.wall.now += seconds
        self.timer.now += seconds

    async def ask(self, domain: str = "d.example", seconds: float = 5.0) -> StsPolicy | None:
        """A question; `seconds` passes in truth only where a job hangs."""
        return await self.policies.policy(domain, seconds)

    async def settle(self) -> None:
        """Until no job runs."""
        while self.policies.status()["looking"]:
            await asyncio.sleep(0)
