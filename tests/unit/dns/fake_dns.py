"""Look-ups from a table, for tests without a network."""

from __future__ import annotations

from collections.abc import Mapping

import dns.rdata

from tlsgate.dns.lookups import Answer, LookupFailure

Table = Mapping[tuple[str, str], "tuple[bool, list[str]] | None"]


class FakeLookups:
    """(name, type) → (secure, records); None fails; an absent one does not exist."""

    def __init__(self, table: Table) -> None:
        self.table = dict(table)
        self.ttl = 0
        self.asked: list[tuple[str, str]] = []

    async def ask(self, name: str, rdtype: str) -> Answer:
        self.asked.append((name, rdtype))
        entry = self.table.get((name, rdtype), (False, []))
        if entry is None:
            raise LookupFailure(f"{rdtype} of {name}: SERVFAIL")
        secure, texts = entry
        records = tuple(dns.rdata.from_text("IN", rdtype, text) for text in texts)
        return Answer(records, secure, name, self.ttl if records else 0)
