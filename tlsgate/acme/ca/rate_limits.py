"""What a CA has counted of us, noted on the state volume before it is asked for.

So no restart and no crash makes more orders than the CA's limits allow; a crash can only make
something count that never reached the CA.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tlsgate.acme.config.limits import KINDS, Limits
from tlsgate.acme.faults import AcmeFault
from tlsgate.files import write_json

ACCOUNT = "account"
"""The subject of what is counted for the account as a whole."""


def names_subject(names: Iterable[str]) -> str:
    """One subject for exactly these names, in any order."""
    return hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Use:
    """Something that the CA counted: `subject` is a name, a set of names, or the account."""

    kind: str
    subject: str
    at: datetime


def exhausted(
    limits: Limits, uses: Sequence[Use], kind: str, subject: str, now: datetime
) -> datetime | None:
    """When one more of this kind is allowed; None for now."""
    times = (use.at for use in uses if use.kind == kind and use.subject == subject)
    return limits.of(kind).free_at(times, now)


class Ledger:
    """ledger.json of the account at one CA; read anew each time."""

    def __init__(self, path: Path, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock

    def demand(self, kind: str, subject: str, told: str = "") -> None:
        """Raises AcmeFault if one more would be above the limit. `told`: the subject, in words."""
        free_at = exhausted(self._limits, self._read(), kind, subject, self._clock())
        if free_at is None:
            return
        limit, what = self._limits.of(kind), KINDS[kind][2]
        raise AcmeFault(
            f"not asked, to keep the CA's limit of {limit.count} {what}{told and f' {told}'} in "
            f"{limit.seconds} s; the next is allowed at {free_at:%Y-%m-%d %H:%M:%S} UTC",
            "Mend what failed before; the agent goes on by itself then. A CA with other limits: "
            "set tlsgate:acme.limits",
            free_at,
            untried=True,
        )

    def note(self, kind: str, subjects: Sequence[str]) -> None:
        """Counts one of each."""
        now = self._clock()
        self._write([*self._read(), *(Use(kind, subject, now) for subject in subjects)])

    def strike(self, kind: str, subjects: Sequence[str]) -> None:
        """Takes the last one of each back: the CA did not count it after all."""
        too_many = Counter(subjects)
        left: list[Use] = []
        for use in reversed(self._read()):
            if use.kind == kind and too_many[use.subject] > 0:
                too_many[use.subject] -= 1
            else:
                left.append(use)
        self._write(left[::-1])

    def _read(self) -> list[Use]:
        try:
            values = json.loads(self._path.read_text())
            return [
                Use(kind, what, datetime.fromisoformat(at)) for kind, what, at in values["uses"]
            ]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError):
            # Written as a whole, so somebody else wrote it. The CA's own limits still stand.
            return []

    def _write(self, uses: Sequence[Use]) -> None:
        now = self._clock()
        kept = [
            [use.kind, use.subject, use.at.isoformat()]
            for use in uses
            if use.kind in KINDS
            and (now - use.at).total_seconds() < self._limits.of(use.kind).seconds
        ]
        write_json(self._path, {"uses": kept})
