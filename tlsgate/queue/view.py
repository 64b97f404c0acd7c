"""Held mail as it is shown: by partner, then by domain and reason.

The texts come from Postfix, from peers and from the list, and are not escaped yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tlsgate.partners.model import Partner
from tlsgate.queue.attempts import Attempt, Attempts
from tlsgate.queue.entries import HeldRecipient
from tlsgate.queue.reasons import WAITING, Diagnosis, diagnose

WAITING_LONG = timedelta(minutes=5)
"""Mail that waits longer than this for the end of its first attempt counts as held."""


@dataclass(frozen=True, slots=True)
class QueueTimes:
    """The current time, and the times that Postfix is configured with.

    `lifetime`: how long mail is kept; `notice_lifetime`: the same for mail of the null sender.
    `tries`: queue id → the time before which there is no next attempt.
    """

    now: datetime
    lifetime: timedelta
    notice_lifetime: timedelta
    tries: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(slots=True)
class HeldMail:
    """The messages to one domain that wait for the same reason.

    `since`: when the oldest one arrived; `until`: when the first one is returned. `last`: the last
    attempt. `next`: the next attempt is not before this time; None if that is not known.
    `postfix`: the queue's reason, then the lines of the log. `server`: `host[address]:port`.
    """

    domain: str
    why: Diagnosis
    since: datetime
    until: datetime
    messages: set[str] = field(default_factory=set)
    recipients: int = 0
    last: datetime | None = None
    next: datetime | None = None
    server: str = ""
    postfix: tuple[str, ...] = ()
    addresses: list[HeldRecipient] = field(default_factory=list)

    def is_held(self, now: datetime) -> bool:
        """Return whether an attempt failed, or none has ended for a long time."""
        return self.why.reason.code != WAITING or now - self.since >= WAITING_LONG


@dataclass(frozen=True, slots=True)
class Group:
    """The entries of a partner, the oldest first; `partner` is None for all other domains."""

    partner: Partner | None
    entries: tuple[HeldMail, ...]

    @property
    def messages(self) -> int:
        """How many different messages."""
        return len(set().union(*(entry.messages for entry in self.entries)))


class Partners:
    """Finds the partner of a domain as Postfix does: by the domain, then by `.parent` keys."""

    def __init__(self, partners: Iterable[Partner]) -> None:
        self._by_key: dict[str, Partner] = {}
        for partner in partners:
            for domain in partner.domains:
                self._by_key[domain] = partner
                if partner.subdomains:
                    self._by_key[f".{domain}"] = partner

    def of(self, domain: str) -> Partner | None:
        """Return the partner of a domain, None if it is not on the list."""
        found = self._by_key.get(domain)
        while found is None and "." in domain:
            domain = domain.partition(".")[2]
            found = self._by_key.get(f".{domain}")
        return found


def group_held(
    held: Iterable[HeldRecipient], attempts: Attempts, partners: Partners, times: QueueTimes
) -> tuple[Group, ...]:
    """Return the groups: partners sorted by name, then all other domains."""
    entries: dict[tuple[bool, str], dict[tuple[str, str], HeldMail]] = {}
    owners: dict[str, Partner | None] = {}
    for one in held:
        partner = owners.setdefault(one.domain, partners.of(one.domain))
        attempt = attempts.of(one)
        why = diagnose(one, attempt, partner.outbound if partner else None)
        key = (partner is None, partner.name if partner else "")
        _add(entries.setdefault(key, {}), one, attempt, why, times)
    return tuple(
        Group(
            owners[next(iter(mine.values())).domain],
            tuple(sorted(mine.values(), key=lambda entry: (entry.since, entry.domain))),
        )
        for _, mine in sorted(entries.items(), key=lambda item: item[0])
    )


def _add(
    entries: dict[tuple[str, str], HeldMail],
    one: HeldRecipient,
    attempt: Attempt | None,
    why: Diagnosis,
    times: QueueTimes,
) -> None:
    until = one.arrived + (times.lifetime if one.sender else times.notice_lifetime)
    key = (one.domain, why.reason.code)
    entry = entries.get(key)
    if entry is None:
        entry = entries[key] = HeldMail(one.domain, why, one.arrived, until)
    entry.messages.add(one.id)
    entry.recipients += 1
    entry.since = min(entry.since, one.arrived)
    entry.until = min(entry.until, until)
    entry.addresses.append(one)
    following = times.tries.get(one.id)
    if following and (entry.next is None or following < entry.next):
        entry.next = following
    said = _said(one, attempt)
    time = attempt.time if attempt else None
    # The latest attempt explains the entry, but one with the detail is preferred to one without.
    newer = time is not None and (entry.last is None or time >= entry.last)
    if not entry.postfix or (why.exact, newer) > (entry.why.exact, False):
        entry.why, entry.postfix = why, said
        entry.server = attempt.server if attempt else ""
    if newer:
        entry.last = time


def _said(one: HeldRecipient, attempt: Attempt | None) -> tuple[str, ...]:
    if attempt is None:
        return (one.said,) if one.said else ()
    return (attempt.said, *attempt.details)


def select(groups: Sequence[Group], partner: str, domain: str) -> tuple[Group, ...]:
    """Return the groups of this partner and the entries of this domain that are not empty."""
    found = []
    for group in groups:
        if partner and (group.partner is None or group.partner.name != partner):
            continue
        kept = tuple(
            one
            for one in group.entries
            if not domain or one.domain == domain or one.domain.endswith(f".{domain}")
        )
        if kept:
            found.append(Group(group.partner, kept))
    return tuple(found)


def to_dict(groups: Sequence[Group], now: datetime, *, addresses: bool) -> list[dict[str, object]]:
    """Return the JSON form (tlsgate.commands.queue), with addresses only on request."""
    return [
        {
            "partner": group.partner.name if group.partner else None,
            "contact": group.partner.contact if group.partner else None,
            "messages": group.messages,
            "entries": [_entry_dict(entry, now, addresses=addresses) for entry in group.entries],
        }
        for group in groups
    ]


def _entry_dict(entry: HeldMail, now: datetime, *, addresses: bool) -> dict[str, object]:
    reason = entry.why.reason
    found: dict[str, object] = {
        "domain": entry.domain,
        "messages": len(entry.messages),
        "recipients": entry.recipients,
        "held": entry.is_held(now),
        "since": stamp(entry.since),
        "until": stamp(entry.until),
        "last_attempt": stamp(entry.last),
        "next_attempt": stamp(entry.next),
        "server": entry.server or None,
        "reason": {
            "code": reason.code,
            "text": reason.text,
            "remedy": reason.remedy,
            "whose": "ours" if entry.why.ours else "theirs",
            "exact": entry.why.exact,
        },
        "postfix": list(entry.postfix),
    }
    if addresses:
        found["mail"] = [
            {
                "id": one.id,
                "queue": one.queue,
                "since": stamp(one.arrived),
                "sender": one.sender,
                "recipient": one.recipient,
            }
            for one in entry.addresses
        ]
    return found


def stamp(time: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second."""
    return None if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"
