"""The addresses of the partners' mail servers: MX, then A and AAAA (RFC 5321, section 5.1).

They are looked up in the background, a few domains at a time and known ones seldom, so that a list
of 10,000 costs little. No question waits for a look-up. DNS alone never takes an address away at
once (D19): one that is missing from an answer is kept for two more days, and failed look-ups
remove none. The book is kept on the helper's volume, so it survives restarts.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from dns.rdtypes.ANY.MX import MX

from tlsgate.dns.lookups import DnsLookups, LookupFailure
from tlsgate.events import emit
from tlsgate.policy.delegation import Address
from tlsgate.policy.kept_file import KeptFile
from tlsgate.state import StateFile

FILE = "addresses.json"
SHORTEST, LONGEST = 300.0, 3600.0
"""Seconds until a domain is looked up again: its answers' TTL within these."""
KEPT_SECONDS = 2 * 86_400.0
"""How long an address is kept that is no longer in the answers."""
PATIENCE_SECONDS = 3600.0
"""For how long a domain that cannot be looked up, and never was, makes the book incomplete."""
AT_ONCE = 4
SPACING_SECONDS = 0.4
"""Between two look-ups of one of the `AT_ONCE` workers: ten domains a second in all. 10,000 with
short TTLs are looked up every 17 minutes, for 3 % of a processor."""
IDLE_SECONDS = 0.5
WRITE_SECONDS = 60.0
LOOKUP_SECONDS = 60.0
Texts = dict[str, tuple[str, ...]]
"""Domain → addresses, as the file has them."""
HOSTS, ADDRESSES = 32, 256
"""Of one domain, at most; the addresses known longest stay."""


@dataclass(slots=True)
class Found:
    """What DNS says of a domain's mail hosts. `ttl`: seconds; `failure`: "" if all was answered."""

    addresses: set[Address] = field(default_factory=set)
    ttl: float = LONGEST
    failure: str = ""


async def find_addresses(lookups: DnsLookups, domain: str) -> Found:
    """The addresses of the domain's MX hosts, or its own without MX; as far as they can be had."""
    found = Found()
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            for host in await _hosts(lookups, domain, found):
                for rdtype in ("A", "AAAA"):
                    await _add_addresses(lookups, host, rdtype, found)
    except LookupFailure as failure:
        found.failure = str(failure)
    except TimeoutError:
        found.failure = f"{domain}: no end within {LOOKUP_SECONDS:.0f} s"
    except Exception as fault:  # a stranger's records must not end the helper
        found.failure = repr(fault)[:300]
    if not found.addresses:
        found.ttl = 0.0
    return found


async def _hosts(lookups: DnsLookups, domain: str, found: Found) -> list[str]:
    answer = await lookups.ask(domain, "MX")
    if not answer.records:
        return [domain]
    found.ttl = min(found.ttl, answer.ttl)
    named = sorted(
        (mx for mx in answer.records if isinstance(mx, MX)), key=lambda mx: mx.preference
    )
    hosts = [mx.exchange.to_text(omit_final_dot=True).lower() for mx in named]
    return [host for host in dict.fromkeys(hosts) if host not in {"", "."}][:HOSTS]  # RFC 7505


async def _add_addresses(lookups: DnsLookups, host: str, rdtype: str, found: Found) -> None:
    try:
        answer = await lookups.ask(host, rdtype)
    except LookupFailure as failure:  # the other hosts' addresses count all the same
        found.failure = str(failure)
        return
    if answer.records:
        found.ttl = min(found.ttl, answer.ttl)
        found.addresses |= {ipaddress.ip_address(record.to_text()) for record in answer.records}


@dataclass(slots=True, eq=False)
class _Entry:
    """A domain's addresses and when each was last in an answer.

    `due`: when it is looked up again; never, while it is. `tried`: when it was for the first time.
    """

    due: float
    tried: float | None = None
    seen: dict[Address, float] = field(default_factory=dict)


class AddressBook:
    """`folder`: where its file is. `clock`: seconds that only grow."""

    def __init__(self, lookups: DnsLookups, folder: Path, clock: Callable[[], float]) -> None:
        self._lookups = lookups
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._domains: dict[Address, set[str]] = {}
        self._unknown: set[str] = set()
        self._queue: list[tuple[float, str]] = []
        loss = "The partners' mail servers are looked up again."
        file = StateFile(folder / FILE, Texts, loss=loss, check=_addresses)
        self._kept_file = KeptFile(file, "the partners' addresses", self._known)
        self._kept = _addresses(self._kept_file.load() or {})

    @property
    def complete(self) -> bool:
        """Whether every domain has been looked up."""
        return not self._unknown

    def at(self, client: Address | None) -> Collection[str]:
        """The domains with a mail host at this address."""
        return self._domains.get(client, ()) if client is not None else ()

    def follow(self, domains: Iterable[str]) -> None:
        """Keep the addresses of these domains, and of no others."""
        wanted, now = set(domains), self._clock()
        for domain in self._entries.keys() - wanted:
            self._forget(domain)
        for domain in sorted(wanted - self._entries.keys()):
            kept = self._kept.get(domain)
            # What was never looked up goes first.
            entry = _Entry(now if kept is not None else 0.0)
            self._entries[domain] = entry
            if kept is None:
                self._unknown.add(domain)
            else:
                self._add(domain, entry, kept, now)
            heapq.heappush(self._queue, (entry.due, domain))
        self._kept = {}

    async def keep(self) -> None:
        """Looks up, and writes, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kept_file.keep(WRITE_SECONDS))
            for _ in range(AT_ONCE):
                group.create_task(self._look_for_ever())

    async def _look_for_ever(self) -> None:
        while True:
            domain = self.next_due()
            if domain is None:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            hurried = domain in self._unknown
            await self.look_up(domain)
            if not hurried:
                await asyncio.sleep(SPACING_SECONDS)

    def next_due(self) -> str | None:
        """The domain that is due, if one is; no other worker gets it until it was looked up."""
        while self._queue and self._queue[0][0] <= self._clock():
            due, domain = heapq.heappop(self._queue)
            entry = self._entries.get(domain)
            if entry is not None and entry.due == due:
                entry.due = math.inf
                return domain
        return None

    async def look_up(self, domain: str) -> None:
        """Asks DNS about a domain of the book, once."""
        entry = self._entries[domain]
        entry.tried = self._clock() if entry.tried is None else entry.tried
        found = await find_addresses(self._lookups, domain)
        if self._entries.get(domain) is not entry:
            return  # the list has changed meanwhile
        now = self._clock()
        self._add(domain, entry, found.addresses, now)
        if found.failure:
            entry.due = now + SHORTEST
            self._lose_patience(domain, now - entry.tried, found.failure)
        else:
            entry.due = now + min(max(found.ttl, SHORTEST), LONGEST)
            self._drop(domain, entry, [a for a, t in entry.seen.items() if now - t > KEPT_SECONDS])
            if domain in self._unknown:
                self._unknown.discard(domain)
                self._kept_file.changed()
        heapq.heappush(self._queue, (entry.due, domain))

    def _lose_patience(self, domain: str, seconds: float, failure: str) -> None:
        if domain in self._unknown and seconds > PATIENCE_SECONDS:
            self._unknown.discard(domain)
            emit(
                "alert",
                what=f"the mail servers of {domain} cannot be looked up",
                reason=failure,
                next="Their bounces are accepted in plaintext, unless inbound.networks names them.",
            )

    def _add(self, domain: str, entry: _Entry, found: Iterable[Address], now: float) -> None:
        for address in found:
            if address not in entry.seen:
                if len(entry.seen) >= ADDRESSES:
                    continue  # a forged answer with many must not push the known ones out
                self._domains.setdefault(address, set()).add(domain)
                self._kept_file.changed()
            entry.seen[address] = now

    def _drop(self, domain: str, entry: _Entry, addresses: Iterable[Address]) -> None:
        for address in addresses:
            del entry.seen[address]
            self._domains[address].discard(domain)
            if not self._domains[address]:
                del self._domains[address]
            self._kept_file.changed()

    def _forget(self, domain: str) -> None:
        entry = self._entries.pop(domain)
        self._drop(domain, entry, list(entry.seen))
        self._unknown.discard(domain)
        self._kept_file.changed()

    def write(self) -> None:
        """Writes the book to the disk if it has changed."""
        self._kept_file.write()

    def _known(self) -> Texts:
        known = ((d, e) for d, e in self._entries.items() if d not in self._unknown)
        return {d: tuple(sorted(map(str, e.seen))) for d, e in sorted(known, key=itemgetter(0))}


def _addresses(texts: Texts) -> dict[str, list[Address]]:
    """Raises ValueError."""
    return {domain: list(map(ipaddress.ip_address, those)) for domain, those in texts.items()}
