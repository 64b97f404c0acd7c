"""What the user sees while set-up runs: a line a step, and a sign of life in long ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final, TextIO

HEARTBEAT: Final = 10.0
"""Seconds between two signs of life."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a step found or made.

    `what`: the thing with its version; `source`: where it is from; `changed`: whether this run made
    it; `notes`: lines that the user should read.
    """

    what: str
    source: str
    changed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A finished step. `status`: ok, failed or skipped; `changed`: whether this run made it."""

    name: str
    status: str
    seconds: float
    what: str
    source: str
    changed: bool = False
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The step as JSON shows it."""
        return {**asdict(self), "seconds": round(self.seconds, 2), "notes": list(self.notes)}

    def __str__(self) -> str:
        return f"{self.status:<8}{self.what} ({self.source}, {self.seconds:.1f} s)"


class Progress:
    """Prints to `stream` as things happen; the step that runs says what it does by `doing`."""

    def __init__(self, stream: TextIO, heartbeat: float = HEARTBEAT) -> None:
        self._stream = stream
        self._heartbeat = heartbeat
        self._doing = ""
        self._since = 0.0

    def say(self, text: str) -> None:
        """Print one line now."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def doing(self, text: str) -> None:
        """Say what takes time now; printed at once, and again while it lasts."""
        self._doing = text
        self._since = time.monotonic()
        self.say(f"...     {text}")

    @property
    def current(self) -> str:
        """What was going on last."""
        return self._doing

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Print a sign of life every few seconds as long as the block runs."""
        ended = threading.Event()
        started = time.monotonic()

        def beat() -> None:
            while not ended.wait(self._heartbeat):
                seconds = time.monotonic() - max(self._since, started)
                self.say(f"...     {self._doing}: {seconds:.0f} s so far")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
