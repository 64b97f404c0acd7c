"""A clock for tests: it moves only when a test moves it, when somebody sleeps, or at each look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime


class FakeClock:
    """Seconds since some moment, or since 1970 where a time of day is needed.

    `step`: how far each look at the clock moves it. `actions`: what happens once the time has come;
    only `sleep` looks for them.
    """

    def __init__(
        self,
        now: float = 1000.0,
        *,
        step: float = 0.0,
        actions: Mapping[float, Callable[[], None]] | None = None,
    ) -> None:
        self.now = now
        self._step = step
        self._actions = dict(actions or {})

    def __call__(self) -> float:
        """The time in seconds."""
        self.now += self._step
        return self.now

    def utc(self) -> datetime:
        """The time as a date."""
        return datetime.fromtimestamp(self(), UTC)

    def sleep(self, seconds: float) -> None:
        """Sleep without a wait."""
        self.now += seconds
        for time in [time for time in self._actions if time <= self.now]:
            self._actions.pop(time)()
