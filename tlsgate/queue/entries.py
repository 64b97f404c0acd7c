"""Reads the output of `postqueue -j` (postqueue(1), "JSON object format"): one message per line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DEFERRED, HOLD = "deferred", "hold"

_TRY = re.compile(r"([0-9A-Za-z]+) ([0-9]{1,12})(?:\.[0-9]*)?")


@dataclass(frozen=True, slots=True)
class HeldRecipient:
    """One recipient of one message.

    `queue`: Postfix's name, such as `active`, `deferred`, `hold`. `said`: why the last attempt
    failed, in Postfix's words; empty before the first one has ended.
    """

    id: str
    queue: str
    arrived: datetime
    sender: str
    recipient: str
    said: str

    @property
    def domain(self) -> str:
        """The recipient's domain."""
        return domain_of(self.recipient)


def domain_of(address: str) -> str:
    """Return the part after the last `@`, or all of it if there is none, in lower case."""
    return address.rpartition("@")[2].lower().rstrip(".")


def read_queue(lines: Iterable[str]) -> Iterator[HeldRecipient]:
    """Yield every recipient of every message. Raises ValueError for output in another format."""
    for line in lines:
        if not line.strip():
            continue
        try:
            yield from _recipients(json.loads(line))
        except (KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
            raise ValueError(
                "postqueue printed an object that is not a message: run `postqueue -j` to see it"
            ) from None


def _recipients(message: dict[str, Any]) -> Iterator[HeldRecipient]:
    arrived = datetime.fromtimestamp(message["arrival_time"], UTC)
    for one in message["recipients"]:
        yield HeldRecipient(
            str(message["queue_id"]),
            str(message["queue_name"]),
            arrived,
            str(message["sender"]),
            str(one["address"]),
            str(one.get("delay_reason", "")),
        )


def read_tries(lines: Iterable[str]) -> dict[str, datetime]:
    """Return, by queue id, the time before which Postfix does not try again (qmgr(8)).

    `lines` are `<queue id> <seconds since 1970>`: the times of the files in the deferred queue.
    Other lines are ignored.
    """
    found = {}
    for line in lines:
        if match := _TRY.fullmatch(line.strip()):
            try:
                found[match[1]] = datetime.fromtimestamp(int(match[2]), UTC)
            except (ValueError, OverflowError, OSError):
                continue
    return found


def seconds(text: str) -> int:
    """Return the seconds of a time such as `4000s` or `5d` (postconf(5)). Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,9})([smhdw]?)", text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is not a time")
    unit = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]
    return int(match[1]) * unit
