"""Failed attempts: counted for each certificate on the volume, so that they survive a restart.

The waits fit a CA's limits: Let's Encrypt takes 5 failed authorizations for a name in an hour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tlsgate.acme.config.ca import CaTurns
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.renewal.turns import next_turn
from tlsgate.files import write_json

WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(minutes=100),
    timedelta(days=1),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """The last of `count` failed attempts in a row. Times are UTC. `holds`: a CA's directory →
    the time before which it allows no request.
    """

    count: int
    at: datetime
    next_try: datetime
    reason: str
    holds: Mapping[str, datetime] = field(default_factory=dict)


def failed(before: Failure | None, fault: AcmeFault, now: datetime, cas: CaTurns) -> Failure:
    """One more failure, counted if the CA was asked at all. Its Retry-After can only make the
    wait longer.
    """
    count = (before.count if before else 0) + (0 if fault.untried else 1)
    holds = {ca: until for ca, until in (before.holds if before else {}).items() if until > now}
    if fault.retry_at is not None and fault.retry_at > now:
        holds[fault.directory or cas.directories[0]] = fault.retry_at
    if fault.untried:
        backed_off = max(before.next_try, now) if before else now
    else:
        backed_off = now + WAITS[min(count, len(WAITS)) - 1]
    turn = next_turn(cas, count, holds, backed_off)
    return Failure(count, now, turn.at, fault.reason, holds)


class Failures:
    """failures.json; read at each use, since a job and the agent both write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, certificate: str) -> Failure | None:
        """The last failure, if there was no success since."""
        return self._read().get(certificate)

    def add(self, certificate: str, fault: AcmeFault, now: datetime, cas: CaTurns) -> Failure:
        """Counts one and returns it."""
        failures = self._read()
        failures[certificate] = failed(failures.get(certificate), fault, now, cas)
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
                    {
                        directory: datetime.fromisoformat(until)
                        for directory, until in entry.get("holds", {}).items()
                    },
                )
                for name, entry in values.items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            # We write it as a whole, so somebody else changed it. The next failure writes it again.
            return {}

    def _write(self, failures: dict[str, Failure]) -> None:
        values = {
            name: {
                "count": failure.count,
                "at": failure.at.isoformat(),
                "next_try": failure.next_try.isoformat(),
                "reason": failure.reason,
                "holds": {ca: until.isoformat() for ca, until in failure.holds.items()},
            }
            for name, failure in failures.items()
        }
        write_json(self._path, values)
