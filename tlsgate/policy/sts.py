"""How an MTA-STS policy is found and fetched (RFC 8461, sections 3.1 and 3.3).

It replaces the resolver of the postfix-mta-sts-resolver library, which takes a failed TXT look-up
for "no policy": here that is a LookupFailure, and the mail waits. A policy that cannot be fetched
is RFC 8461's "no policy" all the same, unless an older one is still valid.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from dns.rdtypes.ANY.TXT import TXT
from postfix_mta_sts_resolver.base_cache import CacheEntry
from postfix_mta_sts_resolver.internal_cache import InternalLRUCache
from postfix_mta_sts_resolver.resolver import STSFetchResult
from postfix_mta_sts_resolver.utils import (
    is_plaintext,
    parse_mta_sts_policy,
    parse_mta_sts_record,
)

from tlsgate.events import emit
from tlsgate.policy.dane import Asks
from tlsgate.policy.lookups import LookupFailure

FETCH_SECONDS = 10.0
RETRY_SECONDS = 60.0
"""After a failed fetch the same policy id is not asked for again before this."""
BODY_LIMIT = 64 * 1024
CACHE_ENTRIES = 10_000
CONCURRENT_FETCHES = 50
MAX_AGE_LIMIT = 31_557_600

_MX_PATTERN = re.compile(r"(\*\.)?([a-z0-9_-]{1,63}\.)+[a-z0-9-]{1,63}")
_KEPT = ("version", "mode", "mx", "max_age")

Resolved = tuple[STSFetchResult, tuple[str, dict[str, Any]] | None]


class PolicyFault(Exception):
    """The policy was not served as RFC 8461 asks."""


class PolicyCache(InternalLRUCache):  # type: ignore[misc]  # the library has no types
    """Bounded; forgets a policy when its max_age is over, so an expired one is never "known"."""

    async def get(self, key: str) -> CacheEntry | None:
        """The policy of a domain, or None."""
        entry: CacheEntry | None = await super().get(key)
        if entry is not None and entry.ts + entry.pol_body["max_age"] < time.time():
            return None
        return entry


class PolicyResolver:
    """Answers the library's responder in the place of its STSResolver.

    `report(event, **fields)` is told of each policy that could not be had.
    """

    def __init__(
        self,
        lookups: Asks,
        trust: Callable[[], ssl.SSLContext],
        port: int = 443,
        report: Callable[..., None] = emit,
    ) -> None:
        self._lookups = lookups
        self._report = report
        self._trust = trust
        self._port = port
        self._failed: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._slots = asyncio.Semaphore(CONCURRENT_FETCHES)

    def forget_failures(self) -> None:
        """Ask again at once: the trusted CAs have changed."""
        self._failed.clear()

    async def resolve(self, domain: str, last_known_id: str | None = None) -> Resolved:
        """The domain's policy; `last_known_id` is the cached one's id, None without one.

        Raises LookupFailure if nobody can say whether there is a policy and none is cached.
        """
        try:
            answer = await self._lookups.ask(f"_mta-sts.{domain}", "TXT")
        except LookupFailure:
            if last_known_id is None:
                raise
            return STSFetchResult.FETCH_ERROR, None
        texts = [b"".join(r.strings) for r in answer.records if isinstance(r, TXT)]
        policy_id = _policy_id([text.decode("ascii", "replace") for text in texts])
        if policy_id is None:
            return STSFetchResult.NONE, None
        if policy_id == last_known_id:
            return STSFetchResult.NOT_CHANGED, None
        if self._failed.get((domain, policy_id), 0.0) > time.monotonic():
            return STSFetchResult.FETCH_ERROR, None
        try:
            async with self._slots, asyncio.timeout(FETCH_SECONDS):
                body = await self._fetch(domain)
            policy = check_policy(parse_mta_sts_policy(body))
        except (PolicyFault, TimeoutError, aiohttp.ClientError, OSError, ValueError) as fault:
            self._report(
                "policy-fetch-failed",
                domain=domain,
                reason=f"{type(fault).__name__}: {fault}"[:300],
                next=f"tried again after {RETRY_SECONDS:.0f} s",
            )
            self._remember_failure(domain, policy_id)
            return STSFetchResult.FETCH_ERROR, None
        return STSFetchResult.VALID, (policy_id, policy)

    async def _fetch(self, domain: str) -> str:
        connector = aiohttp.TCPConnector(ssl=self._trust(), resolver=_HostResolver(self._lookups))
        # trust_env: a gateway that reaches the web through a proxy only says so in HTTPS_PROXY.
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=True) as session,
            session.get(
                f"https://mta-sts.{domain}:{self._port}/.well-known/mta-sts.txt",
                allow_redirects=False,
                headers={"User-Agent": "tlsgate"},
            ) as response,
        ):
            if response.status != 200:
                raise PolicyFault(f"the policy host answered {response.status}, not 200")
            if not is_plaintext(response.headers.get("Content-Type", "")):
                raise PolicyFault("the policy's media type is not text/plain")
            body = bytearray()
            async for chunk in response.content.iter_chunked(4096):
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise PolicyFault(f"the policy is longer than {BODY_LIMIT} octets")
        return body.decode("utf-8")

    def _remember_failure(self, domain: str, policy_id: str) -> None:
        if len(self._failed) >= CACHE_ENTRIES:
            self._failed.popitem(last=False)
        self._failed[domain, policy_id] = time.monotonic() + RETRY_SECONDS


def check_policy(policy: dict[str, Any]) -> dict[str, Any]:
    """The policy reduced to the fields of RFC 8461, section 3.2, each checked.

    What it returns goes into an answer to Postfix word by word: nothing unchecked may be in it.
    Raises PolicyFault.
    """
    if policy.get("version") != "STSv1":
        raise PolicyFault("the policy's version is not STSv1")
    if policy.get("mode") not in {"enforce", "testing", "none"}:
        raise PolicyFault("the policy's mode is not enforce, testing or none")
    max_age = str(policy.get("max_age", ""))
    if not re.fullmatch(r"[0-9]{1,10}", max_age) or int(max_age) > MAX_AGE_LIMIT:
        raise PolicyFault(f"the policy's max_age is not 0 to {MAX_AGE_LIMIT}")
    patterns = [str(pattern).lower() for pattern in policy["mx"]]
    if not all(_MX_PATTERN.fullmatch(pattern) for pattern in patterns):
        raise PolicyFault("the policy has an mx that is not a host name")
    if not patterns and policy["mode"] != "none":
        raise PolicyFault("the policy names no mx")
    checked = policy | {"max_age": int(max_age), "mx": patterns}
    return {key: checked[key] for key in _KEPT}


def _policy_id(texts: list[str]) -> str | None:
    """The id of the one valid record; RFC 8461, section 3.1: several are as good as none."""
    records = [parse_mta_sts_record(text) for text in texts if text.startswith("v=STSv1")]
    if len(records) != 1 or records[0].get("v") != "STSv1":
        return None
    identifier = str(records[0].get("id", ""))
    return identifier if re.fullmatch(r"[A-Za-z0-9]{1,32}", identifier) else None


class _HostResolver(AbstractResolver):
    """The policy host's addresses, asked where everything else is asked."""

    def __init__(self, lookups: Asks) -> None:
        self._lookups = lookups

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  # the base class's
    ) -> list[ResolveResult]:
        """IPv4 first, then IPv6. Raises OSError without any."""
        found: list[ResolveResult] = []
        for rdtype, kind in (("A", socket.AF_INET), ("AAAA", socket.AF_INET6)):
            try:
                answer = await self._lookups.ask(host, rdtype)
            except LookupFailure as failure:
                raise OSError(f"look-up failed: {failure}") from failure
            found += [
                ResolveResult(
                    hostname=host,
                    host=record.to_text(),
                    port=port,
                    family=kind,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for record in answer.records
            ]
        if not found:
            raise OSError(f"{host} has no address")
        return found

    async def close(self) -> None:
        """Nothing is held open."""
