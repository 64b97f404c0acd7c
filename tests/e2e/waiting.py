"""Waits for a condition; fails with its description."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE = 0.25


def until(look: Callable[[], T | None], what: str, seconds: float = 60.0) -> T:
    """Call `look` until its result is true; return that. Fails with `what` after the time-out."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s there is still no {what}"
        time.sleep(PAUSE)
    return seen
