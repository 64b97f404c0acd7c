"""Events: what a container reports to its operator, as lines of JSON in the container's log.

Each line is one event. It has these fields, and others that depend on the event:

    event   its name, one of EVENTS
    at      the time: UTC, ISO 8601
    level   how important it is: see Level
    what    what happened, in words
    reason  why; always present in warnings and errors
    next    what happens next, or what to do; always present in warnings and errors

No event contains a secret. Of a message, events contain only the domains of its envelope and its
queue id.
docs/operating.md has the table of events. Two of them are printed by other programs, in the same
format: images/watchdog prints its own, and nginx on the policy host prints `http`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

Listener = Callable[[Mapping[str, object]], None]
_LISTENERS: list[Listener] = []
_STREAMS: list[TextIO] = []
"""The last one is where events are printed; if there is none, on standard output."""


class Level(StrEnum):
    """How important an event is."""

    INFO = "info"
    """Something was done."""
    WARNING = "warning"
    """Something was not done. It is tried again, or somebody else has to act."""
    ERROR = "error"
    """Something is wrong that the operator should look at."""


EVENTS: Mapping[str, tuple[Level, str]] = {
    "account": (Level.INFO, "an account at a CA is open"),
    "account-key": (Level.INFO, "an account at a CA has a new key"),
    "agent": (Level.INFO, "the certificate agent has started"),
    "alert": (Level.ERROR, "something is wrong"),
    "certificate": (Level.INFO, "a certificate is now in service"),
    "config": (Level.INFO, "a new agent.json is in force"),
    "due": (Level.INFO, "a certificate must be ordered"),
    "fault": (Level.ERROR, "the program has a defect"),
    "generation": (Level.INFO, "a generation is now in force"),
    "http": (Level.INFO, "a request was answered"),
    "notice": (Level.INFO, "a bounce, a warning or a report passed"),
    "observed": (Level.INFO, "mail to an observed partner would have been held"),
    "order": (Level.INFO, "an order was placed at a CA, or is being continued"),
    "order-repeated": (Level.WARNING, "a CA did not accept an order as a replacement"),
    "policy-fetch-failed": (Level.WARNING, "an MTA-STS policy could not be fetched"),
    "proven": (Level.INFO, "the servers show the new certificate"),
    "refused": (Level.WARNING, "mail that names a partner as its sender was refused"),
    "renewal-info": (Level.INFO, "a CA suggested when to renew a certificate"),
    "revoked": (Level.INFO, "a certificate was revoked"),
    "rollover": (Level.INFO, "the roll-over of a key reached a new step"),
    "serving": (Level.INFO, "the server answers"),
    "stopped": (Level.INFO, "the program stopped on request"),
    "switch": (Level.INFO, "a new certificate was installed"),
    "switched-back": (Level.WARNING, "the servers did not show the new certificate"),
    "tlsa": (Level.INFO, "the TLSA records of a name were changed"),
    "unproven": (Level.WARNING, "a new certificate could not be checked at its server"),
    "waiting": (Level.INFO, "another process holds the lock"),
    "watching": (Level.INFO, "the watchdog watches the server"),
    "webhook": (Level.WARNING, "an alert could not be sent to the webhook"),
}
"""Name → level, and the default of `what`."""


def emit(
    event: str,
    *,
    what: str | None = None,
    reason: str | None = None,
    next: str | None = None,
    **fields: object,
) -> None:
    """Prints one line. `event`: one of EVENTS. `what`: replaces the text there."""
    level, meaning = EVENTS[event]
    line: dict[str, object] = {
        "event": event,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "level": level.value,
        "what": what or meaning,
        **fields,
    }
    line |= {key: text for key, text in (("reason", reason), ("next", next)) if text is not None}
    stream = _STREAMS[-1] if _STREAMS else sys.stdout
    stream.write(json.dumps(line, ensure_ascii=True) + "\n")
    stream.flush()
    for listener in _LISTENERS:
        listener(line)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Inside the block, the listener also gets every event. It must not block or raise."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


@contextmanager
def printed_on(stream: TextIO) -> Iterator[None]:
    """Inside the block, events are printed on this stream, so not among a command's output."""
    _STREAMS.append(stream)
    try:
        yield
    finally:
        _STREAMS.pop()
