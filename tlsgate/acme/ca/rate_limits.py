"""What a CA has counted for its rate limits, saved on the state volume before each request.

A restart or a crash therefore never leads to more requests than the CA allows; a crash can only
count a request that never reached the CA.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from tlsgate.acme.config.limits import KINDS, Limits
from tlsgate.acme.faults import AcmeFault
from tlsgate.clock import Clock
from tlsgate.record import Record, Time
from tlsgate.state import StateFile

ACCOUNT = "account"
"""The subject of requests that count for the whole account."""


def names_subject(names: Iterable[str]) -> str:
    """One subject for exactly these names, in any order."""
    return hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:16]


class CountedRequest(Record, frozen=True, array_like=True):
    """Something that the CA counted: `subject` is a name, a set of names, or the account."""

    kind: str
    subject: str
    at: Time


Uses = Sequence[CountedRequest]


class _Saved(Record, frozen=True):
    """ledger.json."""

    uses: tuple[CountedRequest, ...]


def exhausted(
    limits: Limits, uses: Sequence[CountedRequest], kind: str, subject: str, now: datetime
) -> datetime | None:
    """When one more of this kind is allowed; None for now."""
    times = (use.at for use in uses if use.kind == kind and use.subject == subject)
    return limits.of(kind).free_at(times, now)


class RateLimiter:
    """ledger.json of the account at one CA; read at each use."""

    def __init__(self, path: Path, limits: Limits, clock: Clock) -> None:
        loss = "What was ordered before is not counted any more; the CA's own limits still hold."
        self._file = StateFile(path, _Saved, loss=loss)
        self._limits = limits
        self._clock = clock

    def check(self, kind: str, subject: str, label: str = "") -> None:
        """Raises AcmeFault if one more is above the limit. `label`: the subject, in words."""
        free_at = exhausted(self._limits, self._read(), kind, subject, self._clock())
        if free_at is None:
            return
        limit, what = self._limits.of(kind), KINDS[kind][2]
        raise AcmeFault(
            f"not asked, to keep the CA's limit of {limit.count} {what}{label and f' {label}'} in "
            f"{limit.seconds} s; the next is allowed at {free_at:%Y-%m-%d %H:%M:%S} UTC",
            "Fix what failed before; the agent then continues automatically. If the CA has other "
            "limits, set tlsgate:acme.limits",
            free_at,
            untried=True,
        )

    def count(self, kind: str, subjects: Sequence[str]) -> None:
        """Counts one of each."""
        now = self._clock()
        self._change(lambda uses: [*uses, *(CountedRequest(kind, one, now) for one in subjects)])

    def uncount(self, kind: str, subjects: Sequence[str]) -> None:
        """Removes the last one of each: the CA did not count it after all."""

        def without(uses: Uses) -> Uses:
            too_many, left = Counter(subjects), list[CountedRequest]()
            for use in reversed(uses):
                if use.kind == kind and too_many[use.subject] > 0:
                    too_many[use.subject] -= 1
                else:
                    left.append(use)
            return left[::-1]

        self._change(without)

    def _read(self) -> Uses:
        saved = self._file.load()
        return saved.uses if saved else ()

    def _change(self, change: Callable[[Uses], Uses]) -> None:
        now = self._clock()

        def matters(use: CountedRequest) -> bool:
            known = use.kind in KINDS
            return known and (now - use.at).total_seconds() < self._limits.of(use.kind).seconds

        def changed(before: _Saved | None) -> _Saved:
            return _Saved(tuple(filter(matters, change(before.uses if before else ()))))

        self._file.update(changed)
