"""What must change so that the wanted record sets are live (pure).

A set is changed only if it is absent, or holds what this stack is known to have made: `previous`.
Whatever else it holds is a conflict where the set is wanted, and left alone where it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dns.name
import dns.rdataset
import dns.rdatatype
import dns.update

from tlsgate.dns.records import Record
from tlsgate.dns.server import SetKey
from tlsgate.dns.sets import same, show, to_rdataset

BATCH_OCTETS = 32_000
"""Of one UPDATE message, by estimate; a message ends at 65,535."""

Live = Mapping[SetKey, dns.rdataset.Rdataset | None]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One set from what was read to what it shall hold; None for an absent one."""

    zone: str
    key: SetKey
    before: dns.rdataset.Rdataset | None
    after: dns.rdataset.Rdataset | None

    def __str__(self) -> str:
        return " ".join(self.key)

    def undone(self) -> Change:
        """Return the change back."""
        return Change(self.zone, self.key, self.after, self.before)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What to do, what forbids it, and what the user should know."""

    changes: tuple[Change, ...]
    conflicts: tuple[str, ...]
    notes: tuple[str, ...]


def plan(
    live: Live,
    wanted: Mapping[SetKey, Record],
    previous: Mapping[SetKey, Record],
    zones: Mapping[SetKey, str],
) -> Plan:
    """Compare; `live` and `zones` have every set of `wanted` and `previous`."""
    changes, conflicts, notes = [], [], []
    for key, record in sorted(wanted.items()):
        found, after = live[key], to_rdataset(record)
        if same(found, after) and found is not None:
            if found.ttl != after.ttl:
                changes.append(Change(zones[key], key, found, after))
        elif found is None or _made(found, previous.get(key)):
            changes.append(Change(zones[key], key, found, after))
        else:
            conflicts.append(_conflict(key, found))
    for key, record in sorted(previous.items()):
        found = live[key]
        if key in wanted or found is None:
            continue
        if _made(found, record):
            changes.append(Change(zones[key], key, found, None))
        else:
            notes.append(f"{' '.join(key)} is left: it holds {show(found)}, which is not ours")
    return Plan(tuple(changes), tuple(conflicts), tuple(notes))


def _made(found: dns.rdataset.Rdataset, previous: Record | None) -> bool:
    return previous is not None and same(found, to_rdataset(previous))


def _conflict(key: SetKey, found: dns.rdataset.Rdataset) -> str:
    kind = "" if dns.rdatatype.to_text(found.rdtype) == key[1] else "the alias "
    return f"{' '.join(key)} holds {kind}{show(found)}, which this stack did not make."


def batches(changes: Sequence[Change]) -> Iterator[tuple[Change, ...]]:
    """Group changes by zone into messages of bounded size."""
    batch: list[Change] = []
    size = 0
    for change in sorted(changes, key=lambda change: (change.zone, change.key)):
        octets = _octets(change)
        if batch and (change.zone != batch[0].zone or size + octets > BATCH_OCTETS):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(change)
        size += octets
    if batch:
        yield tuple(batch)


def _octets(change: Change) -> int:
    """Estimate from above what a change takes in a message; names are not compressed here."""
    header = len(change.key[0]) + 2 + 10
    rdatas = [*(change.before or ()), *(change.after or ())]
    return 2 * header + sum(header + len(rdata.to_wire()) for rdata in rdatas)


def message(batch: Sequence[Change]) -> dns.update.UpdateMessage:
    """Return one UPDATE that compares every set with what was read, and swaps it."""
    made = dns.update.UpdateMessage(batch[0].zone)
    for change in batch:
        name, rtype = dns.name.from_text(change.key[0]), change.key[1]
        if change.before is None:
            made.absent(name, rtype)
        else:
            made.present(name, *change.before)  # of these the TTL must be 0, as it is for rdata
            made.delete(name, rtype)
        if change.after is not None:
            made.add(name, change.after)
    return made
