"""A certificate could not be had: the reason, and what to do about it."""

from __future__ import annotations

from datetime import datetime


class AcmeFault(Exception):
    """A certificate could not be had. `retry_at`: not before this time, by the CA's own word.

    `directory`: of the CA that was asked, None if it is not about one. `untried`: the CA was not
    even asked, because it said when, or because its limits forbid it.
    """

    def __init__(
        self,
        reason: str,
        remedy: str,
        retry_at: datetime | None = None,
        *,
        untried: bool = False,
    ) -> None:
        super().__init__(reason, remedy, retry_at)
        self.reason = reason
        self.remedy = remedy
        self.retry_at = retry_at
        self.untried = untried
        self.directory: str | None = None

    def __str__(self) -> str:
        return f"{self.reason}\nWhat to do: {self.remedy}."
