"""AcmeFault: why a certificate could not be obtained, and what to do about it."""

from __future__ import annotations

from datetime import datetime


class AcmeFault(Exception):
    """A certificate could not be obtained. `retry_at`: the CA allows no request before this time.

    `directory`: of the CA that was asked, None if it is not about one. `untried`: no request was
    made, because the CA allows none yet or because of its limits.
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
