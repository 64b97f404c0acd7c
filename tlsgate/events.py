"""Events: what a container tells its operator, one line of JSON each, in the container's log.

Every line has these fields, and further ones that belong to its event:

    event   its name, one of EVENTS
    at      when: UTC, ISO 8601
    level   how much it matters: see Level
    what    what happened, in words
    reason  why; always there from level warning on
    next    what happens next, or what to do; always there from level warning on

No event holds a secret, or anything of a message beyond its envelope's domains and its queue id.
docs/operating.md has the table of events. Two of them are printed elsewhere, in the same form:
images/watchdog prints its own, and the policy host's nginx prints `http`.
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
"""Where events are printed instead of on standard output; the last one holds."""


class Level(StrEnum):
    """How much an event matters."""

    INFO = "info"
    """Something was done."""
    WARNING = "warning"
    """Something was not done; it is tried again, or somebody else has to act."""
    ERROR = "error"
    """Something is wrong that the operator should look at."""


EVENTS: Mapping[str, tuple[Level, str]] = {
    "account": (Level.INFO, "an account at a CA is open"),
    "account-key": (Level.INFO, "an account at a CA has a new key"),
    "agent": (Level.INFO, "the certificate agent has started"),
    "alert": (Level.ERROR, "something is wrong"),
    "certificate": (Level.INFO, "a certificate came into service"),
    "config": (Level.INFO, "a new agent.json is in force"),
    "due": (Level.INFO, "a certificate is to be ordered"),
    "fault": (Level.ERROR, "the program has a defect"),
    "generation": (Level.INFO, "a generation came into force"),
    "http": (Level.INFO, "a request was answered"),
    "notice": (Level.INFO, "a bounce, a warning or a report passed"),
    "observed": (Level.INFO, "mail to an observed partner would have been held"),
    "order": (Level.INFO, "an order was placed at a CA, or is continued"),
    "order-repeated": (Level.WARNING, "a CA did not take an order as a replacement"),
    "policy-fetch-failed": (Level.WARNING, "an MTA-STS policy could not be fetched"),
    "proven": (Level.INFO, "the servers show the new certificate"),
    "refused": (Level.WARNING, "mail that names a partner as its sender was refused"),
    "renewal-info": (Level.INFO, "a CA said when it would like a certificate to be renewed"),
    "revoked": (Level.INFO, "a certificate was revoked"),
    "rollover": (Level.INFO, "the roll-over of a key came to a new step"),
    "serving": (Level.INFO, "the server answers"),
    "stopped": (Level.INFO, "the program ended as it was told to"),
    "switch": (Level.INFO, "a new certificate was put in its place"),
    "switched-back": (Level.WARNING, "the servers did not show the new certificate"),
    "tlsa": (Level.INFO, "the TLSA records of a name were changed"),
    "unproven": (Level.WARNING, "a new certificate could not be seen at its server"),
    "waiting": (Level.INFO, "another process holds the lock"),
    "watching": (Level.INFO, "the watchdog watches the server"),
    "webhook": (Level.WARNING, "an alert could not be sent to the webhook"),
}
"""Name → its level, and what it says if it does not say more."""


def emit(
    event: str,
    *,
    what: str | None = None,
    reason: str | None = None,
    next: str | None = None,
    **fields: object,
) -> None:
    """Prints one line. `event`: one of EVENTS; `what`: more than its entry there says."""
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
    """Inside the block the listener gets every event as well; it must not block or raise."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


@contextmanager
def printed_on(stream: TextIO) -> Iterator[None]:
    """Inside the block events are printed there: for a command whose output is its answer."""
    _STREAMS.append(stream)
    try:
        yield
    finally:
        _STREAMS.pop()
