"""Events as JSON lines on standard output, where the container's log has them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

Listener = Callable[[Mapping[str, object]], None]
_LISTENERS: list[Listener] = []


def emit(event: str, **fields: object) -> None:
    """One line: the event's name, the time (UTC, ISO 8601) and its fields."""
    line = {"event": event, "at": datetime.now(UTC).isoformat(timespec="seconds"), **fields}
    sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
    sys.stdout.flush()
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
