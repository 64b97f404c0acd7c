"""Failed attempts: counted for each certificate on the volume, so that they survive a restart.

The waits fit a CA's limits: Let's Encrypt takes 5 failed authorizations for a name in an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from tlsgate.acme.config.ca import CaTurns
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.renewal.turns import next_turn
from tlsgate.record import Count, Record, Time
from tlsgate.state import StateMap

WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(minutes=100),
    timedelta(days=1),
)


class Failure(Record, frozen=True):
    """The last of `count` failed attempts in a row. Times are UTC. `holds`: a CA's directory →
    the time before which it allows no request.
    """

    count: Count
    at: Time
    next_try: Time
    reason: str
    holds: Mapping[str, Time] = {}


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


class Failures(StateMap[Failure]):
    """failures.json: `<volume>/<name>` → the last failure, if there was no success since.

    A job and the agent write it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, Failure, loss="Failed attempts are counted again from zero.")

    def add(self, certificate: str, fault: AcmeFault, now: datetime, cas: CaTurns) -> Failure:
        """Counts one and returns it."""
        failure = failed(self.get(certificate), fault, now, cas)
        self.put(certificate, failure)
        return failure

    def clear(self, certificate: str) -> None:
        """After a success."""
        self.put(certificate, None)
