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

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tlsgate.clock import Clock, utc_now
from tlsgate.events import emit
from tlsgate.files import write
from tlsgate.policy.rules import Evidence

FILE = "observations.json"
OUTBOUND, INBOUND = "outbound", "inbound"
KEYS = {"messages", "would_hold", "since", "last", "clean", "rule"}
CLEAN_KEYS = {"messages", "since"}
WRITE_SECONDS = 2.0
MESSAGES_KNOWN = 10_000

Counts = dict[str, dict[str, dict[str, Any]]]


class Observations:
    """The counts, and their file; `folder`: where it is."""

    def __init__(self, folder: Path, clock: Clock = utc_now) -> None:
        self._file = folder / FILE
        self._clock = clock
        self._counts = self._kept()
        self._messages: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._dirty = False
        self._failing = False

    def follow(self, observed: Mapping[str, Evidence]) -> None:
        """Observe these partners, and no others any more."""
        before, self._counts = self._counts, {}
        for partner, evidence in observed.items():
            rules = {OUTBOUND: evidence.outbound, INBOUND: evidence.inbound}
            known = before.get(partner, {})
            self._counts[partner] = {
                direction: known[direction]
                if known.get(direction, {}).get("rule") == rule
                else self._fresh(rule)
                for direction, rule in rules.items()
            }
        self._dirty = self._dirty or self._counts != before

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
        entry["messages"] += messages
        entry["last"] = _text(self._clock())
        if reason:
            held = entry["would_hold"]
            held[reason] = held.get(reason, 0) + messages
            entry["clean"] = {"messages": 0, "since": entry["last"]}
        else:
            entry["clean"]["messages"] += messages
        self._dirty = True

    def counts(self) -> Counts:
        """As the file has them."""
        return self._counts

    def write(self) -> None:
        """Writes the counts to the disk if they have changed; reports a failure once."""
        text = self._changed()
        if text:
            self._put(text)

    async def keep(self) -> None:
        """Writes for ever, beside the loop that counts."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            text = self._changed()
            if text:
                await asyncio.to_thread(self._put, text)

    def _changed(self) -> str:
        """What is to be written; "" if nothing is."""
        text = json.dumps(self._counts) + "\n" if self._dirty else ""
        self._dirty = False
        return text

    def _put(self, text: str) -> None:
        try:
            write(self._file, text.encode("ascii"))
        except OSError as fault:
            if not self._failing:
                emit("alert", what="observations cannot be kept", reason=str(fault))
            self._dirty = self._failing = True
            return
        self._failing = False

    def _fresh(self, rule: str) -> dict[str, Any]:
        since = _text(self._clock())
        clean = {"messages": 0, "since": since}
        counts: dict[str, Any] = {"messages": 0, "would_hold": {}, "since": since, "last": None}
        return {**counts, "clean": clean, "rule": rule}

    def _kept(self) -> Counts:
        try:
            return read(self._file.parent)
        except (OSError, ValueError) as fault:
            emit("alert", what="observations begin anew", reason=str(fault))
            return {}


def read(folder: Path) -> Counts:
    """The counts of the file; none if there is no file. Raises OSError, ValueError."""
    file = folder / FILE
    if not file.exists():
        return {}
    counts = json.loads(file.read_bytes())
    for directions in _mapping(counts).values():
        for entry in _mapping(directions).values():
            if set(_mapping(entry)) != KEYS or set(_mapping(entry["clean"])) != CLEAN_KEYS:
                raise ValueError(f"{file} has an invalid entry")
    return dict(counts)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{FILE} does not have the form that was written")  # noqa: TRY004  # of the file
    return value


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
