"""DNS look-ups at the one validating resolver that is trusted (RFC 4035, section 4.9.3).

The AD bit means something only because the resolver is the gateway's own, on its own network.
A look-up that fails (no answer, SERVFAIL, which a bogus signature gives too) is never taken for
"there is no such record".
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.rdata
import dns.resolver

TRY_SECONDS = 2.0
LIFETIME_SECONDS = 8.0
CACHE_ENTRIES = 20_000
AT_ONCE = 500
"""Look-ups at a time; each has a socket. Further ones wait, and the caller has its own time-out."""


class LookupFailure(Exception):
    """It cannot be found out whether the record exists, so the mail waits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name has of one type. `secure`: validated by DNSSEC all along.

    `canonical` is the name behind CNAMEs, without its final dot. `ttl`: seconds for which the
    answer may still be used; 0 where the name does not exist.
    """

    records: tuple[dns.rdata.Rdata, ...]
    secure: bool
    canonical: str
    ttl: int = 0


class DnsLookups(Protocol):
    """How a record is looked up (`Lookups` does it)."""

    async def ask(self, name: str, rdtype: str) -> Answer:
        """The records of `name`; raises LookupFailure."""
        ...


class Lookups:
    """Asks `nameservers` (addresses, port 53 or `port`).

    Answers are kept for their TTL. `cached=False` is for a caller that seldom asks the same again.
    """

    def __init__(self, nameservers: list[str], port: int = 53, *, cached: bool = True) -> None:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = list(nameservers)
        resolver.port = port
        resolver.timeout = TRY_SECONDS
        resolver.lifetime = LIFETIME_SECONDS
        resolver.cache = dns.resolver.LRUCache(CACHE_ENTRIES) if cached else None
        resolver.use_edns(0, 0, 1232)
        # RFC 6840, section 5.7: the bit in the question asks for the bit in the answer.
        resolver.flags = dns.flags.RD | dns.flags.AD
        self._resolver = resolver
        self._places = asyncio.Semaphore(AT_ONCE)

    async def ask(self, name: str, rdtype: str) -> Answer:
        """The records of `name`; none if there are none. Raises LookupFailure."""
        try:
            async with self._places:
                answer = await self._resolver.resolve(
                    f"{name}.", rdtype, raise_on_no_answer=False, search=False
                )
        except dns.resolver.NXDOMAIN:
            return Answer((), False, name)
        except dns.exception.DNSException as problem:
            raise LookupFailure(f"{rdtype} of {name}: {type(problem).__name__}") from problem
        return Answer(
            records=tuple(answer.rrset) if answer.rrset is not None else (),
            secure=bool(answer.response.flags & dns.flags.AD),
            canonical=answer.canonical_name.to_text(omit_final_dot=True).lower(),
            ttl=max(0, round(answer.expiration - time.time())),
        )
