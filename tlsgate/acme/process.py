"""The lock that every process holds while it orders, and waits that end on SIGTERM."""

from __future__ import annotations

import fcntl
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

Pause = Callable[[float], None]
"""Waits that many seconds; raises Stopped if the process is to end."""


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """SIGTERM or SIGINT arrived: undo what is half done, and exit."""


class Busy(Exception):
    """Another process holds the lock."""


class Stop:
    """Set by a signal. Process 1 of a container ignores SIGTERM unless it has a handler."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles SIGTERM and SIGINT inside the block."""
        before = [(number, signal.signal(number, self._set)) for number in _SIGNALS]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def set(self) -> None:
        """The process ends at the next wait."""
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Waits. Raises Stopped."""
        if self._event.wait(max(seconds, 0)):
            raise Stopped

    def _set(self, _signal: int, _frame: FrameType | None) -> None:
        self.set()


@contextmanager
def locked(path: Path, timeout: float, pause: Pause, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock; the kernel releases it when the process ends, in whatever way.

    Waits up to `timeout` seconds and calls `waiting` once if it has to. Raises Busy.
    """
    deadline = time.monotonic() + timeout
    with path.open("w") as file:
        announced = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Busy from None
            if not announced:
                waiting()
                announced = True
            pause(0.2)
        yield
