"""Failed attempts: counted for each certificate on the volume, so that no restart forgets them.

The waits fit a CA's limits: Let's Encrypt takes 5 failed authorizations for a name in an hour.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tlsgate.generation.files import write_json

WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(minutes=100),
    timedelta(days=1),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """The last of `count` failed attempts in a row. Times are UTC."""

    count: int
    at: datetime
    next_try: datetime
    reason: str


def failed(
    before: Failure | None, reason: str, now: datetime, retry_at: datetime | None
) -> Failure:
    """One more failure. `retry_at`: the CA's own word, which can only make the wait longer."""
    count = before.count + 1 if before else 1
    next_try = now + WAITS[min(count, len(WAITS)) - 1]
    return Failure(count, now, max(next_try, retry_at or next_try), reason)


class Failures:
    """failures.json; read anew each time, since a job and the agent both write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, certificate: str) -> Failure | None:
        """The failure that stands, if one does."""
        return self._read().get(certificate)

    def add(
        self, certificate: str, reason: str, now: datetime, retry_at: datetime | None
    ) -> Failure:
        """Counts one and returns it."""
        failures = self._read()
        failures[certificate] = failed(failures.get(certificate), reason, now, retry_at)
        self._write(failures)
        return failures[certificate]

    def clear(self, certificate: str) -> None:
        """After a success."""
        failures = self._read()
        if failures.pop(certificate, None) is not None:
            self._write(failures)

    def _read(self) -> dict[str, Failure]:
        try:
            values = json.loads(self._path.read_text())
            return {
                name: Failure(
                    entry["count"],
                    datetime.fromisoformat(entry["at"]),
                    datetime.fromisoformat(entry["next_try"]),
                    entry["reason"],
                )
                for name, entry in values.items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            # Written as a whole, so somebody else wrote it. A first failure writes it anew.
            return {}

    def _write(self, failures: dict[str, Failure]) -> None:
        values = {
            name: {
                "count": failure.count,
                "at": failure.at.isoformat(),
                "next_try": failure.next_try.isoformat(),
                "reason": failure.reason,
            }
            for name, failure in failures.items()
        }
        write_json(self._path, values)
