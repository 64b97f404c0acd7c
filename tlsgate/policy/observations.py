"""Counts what would have been held or refused, for partners that are only observed.

There is one entry for each partner and direction, on a small volume, so that it survives restarts.
It is evidence about one set of rules: when the rules change or the observation ends, it is reset.

`python3 -m tlsgate.policy observations` prints it as one line of JSON:

    {partner: {"outbound" | "inbound": {"messages": int, "would_hold": {reason: int},
     "since": time, "last": time or null, "clean": {"messages": int, "since": time},
     "rule": digest}}}

Times are ISO 8601 in UTC. `since` is when the helper began to observe; `clean`, what came after the
last message that would have been held; `rule`, `tlsgate.render.partner_rules.evidence_digest` of
the record.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tlsgate.clock import Clock, utc_now
from tlsgate.policy.kept_file import KeptFile
from tlsgate.policy.rules import Evidence
from tlsgate.record import Count
from tlsgate.state import StateFile

FILE = "observations.json"
OUTBOUND, INBOUND = "outbound", "inbound"
WRITE_SECONDS = 2.0
MESSAGES_KNOWN = 10_000


class Clean(msgspec.Struct, forbid_unknown_fields=True):
    """What came after the last message that would have been held."""

    messages: Count
    since: str


class Counts(msgspec.Struct, forbid_unknown_fields=True):
    """Of a partner and direction, as the file has them."""

    messages: Count
    would_hold: dict[str, Count]
    since: str
    last: str | None
    clean: Clean
    rule: str


Partners = dict[str, dict[str, Counts]]
"""Partner → direction → counts."""


class Observations:
    """The counts, and their file; `folder`: where it is."""

    def __init__(self, folder: Path, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._kept = KeptFile(_file(folder), "observations", lambda: self._counts)
        self._counts = self._kept.load() or {}
        self._messages: OrderedDict[tuple[str, str], None] = OrderedDict()

    def follow(self, observed: Mapping[str, Evidence]) -> None:
        """Observe these partners, and no others any more."""
        before, self._counts = self._counts, {}
        for partner, evidence in observed.items():
            rules = {OUTBOUND: evidence.outbound, INBOUND: evidence.inbound}
            known = before.get(partner, {})
            self._counts[partner] = {
                direction: counts
                if (counts := known.get(direction)) is not None and counts.rule == rule
                else self._fresh(rule)
                for direction, rule in rules.items()
            }
        if self._counts != before:
            self._kept.changed()

    def is_new(self, message: str, subject: str) -> bool:
        """Whether the message is new: Postfix asks about a message once for each recipient.

        `subject`: what it is counted for, because a message may go to several domains.
        """
        if not message:
            return True
        key = (message, subject)
        known = key in self._messages
        self._messages[key] = None
        if len(self._messages) > MESSAGES_KNOWN:
            self._messages.popitem(last=False)
        return not known

    def count(self, partner: str, direction: str, reason: str = "", messages: int = 1) -> None:
        """Messages of a partner, and why they would have been held or refused, "" if not."""
        entry = self._counts.get(partner, {}).get(direction)
        if entry is None:
            return
        entry.messages += messages
        entry.last = _text(self._clock())
        if reason:
            entry.would_hold[reason] = entry.would_hold.get(reason, 0) + messages
            entry.clean = Clean(0, entry.last)
        else:
            entry.clean.messages += messages
        self._kept.changed()

    def counts(self) -> dict[str, Any]:
        """As the file has them."""
        return dict(msgspec.to_builtins(self._counts))

    def write(self) -> None:
        """Writes the counts to the disk if they have changed."""
        self._kept.write()

    async def keep(self) -> None:
        """Writes for ever, beside the loop that counts."""
        await self._kept.keep(WRITE_SECONDS)

    def _fresh(self, rule: str) -> Counts:
        since = _text(self._clock())
        return Counts(0, {}, since, None, Clean(0, since), rule)


def read(folder: Path) -> dict[str, Any]:
    """The counts of the file; none if there is no file. Raises OSError, for damage too."""
    return dict(msgspec.to_builtins(_file(folder).read() or {}))


def _file(folder: Path) -> StateFile[Partners]:
    return StateFile(folder / FILE, Partners, loss="Observed partners are counted again from zero.")


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
