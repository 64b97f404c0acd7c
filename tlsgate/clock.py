"""The time, as something that can be passed in: tests give a clock of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time in UTC."""


def utc_now() -> datetime:
    """The machine's time, in UTC."""
    return datetime.now(UTC)
