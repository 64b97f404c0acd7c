"""Events as JSON lines on standard output, where the container's log has them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def emit(event: str, **fields: object) -> None:
    """One line: the event's name, the time (UTC, ISO 8601) and its fields."""
    line = {"event": event, "at": datetime.now(UTC).isoformat(timespec="seconds"), **fields}
    sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
    sys.stdout.flush()
