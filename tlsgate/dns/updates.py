"""Publishing, withdrawing and reading the record sets of a stack.

Everything is read first, and changed only if there is no conflict; each change carries what
was read as a prerequisite (RFC 2136, section 2.4), so that a record which someone else changed
is reported, not overwritten. A zone's changes are atomic per message; if a later message fails,
the earlier ones are undone. A run that was killed half-way can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import dns.name
import dns.rdatatype

from tlsgate.dns.errors import ConflictError, DnsError, PrerequisiteError, ZoneError
from tlsgate.dns.plan import Change, Plan, batches, message, plan
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer, SetKey
from tlsgate.dns.sets import by_key, key_of, same, show, to_record, zone_of
from tlsgate.dns.wildcards import survey


@dataclass(frozen=True, slots=True)
class UpdateSummary:
    """What was done: sets by `name TYPE`, and remarks for the user."""

    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def publish(
    server: NameServer,
    zones: Sequence[str],
    wanted: Sequence[Record],
    previous: Sequence[Record] = (),
) -> UpdateSummary:
    """Publish `wanted` and remove what is only in `previous`.

    `previous` is what this stack knows it made. Raises ConflictError with every set that holds
    something else, before anything is changed, and any other DnsError.
    """
    made = _planned(server, zones, wanted, previous)
    if made.conflicts:
        raise ConflictError(made.conflicts)
    _apply(server, made.changes)
    return UpdateSummary(
        changed=tuple(str(change) for change in made.changes if change.after is not None),
        removed=tuple(str(change) for change in made.changes if change.after is None),
        notes=made.notes,
    )


def withdraw(
    server: NameServer, zones: Sequence[str], published: Sequence[Record]
) -> UpdateSummary:
    """Remove the sets that still hold what was published; keep and report the others."""
    return publish(server, zones, (), published)


def rehearse(
    server: NameServer,
    zones: Sequence[str],
    wanted: Sequence[Record],
    previous: Sequence[Record] = (),
) -> None:
    """Raise what `publish` would raise, as far as the server tells without changing anything.

    The same updates are sent with a prerequisite that no zone meets. Servers that check the
    key's rights first (tested: Knot 3.4, BIND 9.20) then refuse what they would refuse later.
    """
    made = _planned(server, zones, wanted, previous)
    if made.conflicts:
        raise ConflictError(made.conflicts)
    for batch in batches(made.changes):
        request = message(batch)
        request.absent(dns.name.from_text(batch[0].zone), dns.rdatatype.SOA)
        with suppress(PrerequisiteError):
            server.update(request)


def live(server: NameServer, zones: Sequence[str], records: Sequence[Record]) -> tuple[Record, ...]:
    """Return what the sets of `records` hold now, sorted; absent sets are left out."""
    found = survey(server, _zones(zones, records))
    return tuple(
        sorted(to_record(name, held) for (name, _), held in found.items() if held is not None)
    )


def _planned(
    server: NameServer,
    zones: Sequence[str],
    wanted: Sequence[Record],
    previous: Sequence[Record],
) -> Plan:
    of_set = _zones(zones, [*wanted, *previous])
    return plan(survey(server, of_set), by_key(wanted), by_key(previous), of_set)


def _zones(zones: Sequence[str], records: Sequence[Record]) -> dict[SetKey, str]:
    """Return the zone of every set; raises ZoneError with all names that have none."""
    found, problems = {}, []
    for record in records:
        try:
            found[key_of(record)] = zone_of(record.name, zones)
        except ZoneError as error:
            problems.append(str(error))
    if problems:
        raise ZoneError("\n".join(dict.fromkeys(problems)))
    return found


def _apply(server: NameServer, changes: Sequence[Change]) -> None:
    done: list[Change] = []
    for batch in batches(changes):
        try:
            server.update(message(batch))
        except DnsError as error:
            found = error
            if isinstance(error, PrerequisiteError):
                found = _meanwhile(server, batch) or error
            left = _undo(server, done)
            if left:
                raise DnsError(f"{found}\nAlready published, and left: {', '.join(left)}") from None
            raise found from None
        done += batch
    _verify(server, changes)


def _meanwhile(server: NameServer, batch: Sequence[Change]) -> DnsError | None:
    """Name the sets that changed after they were read."""
    held = server.read([change.key for change in batch])
    texts = [
        f"{change} was changed by someone else at the same moment; it holds {show(now)}."
        for change, now in zip(batch, held, strict=True)
        if not same(now, change.before)
    ]
    return ConflictError(texts) if texts else None


def _undo(server: NameServer, done: Sequence[Change]) -> list[str]:
    """Undo the changes; return those that could not be undone."""
    left: list[str] = []
    for batch in batches([change.undone() for change in done]):
        try:
            server.update(message(batch))
        except DnsError:
            left += [str(change) for change in batch]
    return left


def _verify(server: NameServer, changes: Sequence[Change]) -> None:
    """Read back: a server silently ignores a record that may not exist beside an alias."""
    held = server.read([change.key for change in changes])
    wrong = [
        f"{change} holds {show(now)}"
        for change, now in zip(changes, held, strict=True)
        if change.after is not None and not same(now, change.after)
    ]
    if wrong:
        raise DnsError(
            f"{server}: accepted the update, and yet {'; '.join(wrong)}. Look for an alias (CNAME)"
            " of the same name, and into the DNS server's log"
        )
