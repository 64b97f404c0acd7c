"""Which CA is asked for a certificate, and when, given the failures so far. Pure.

The first CA is asked until it has failed a number of times in a row. Then the second and the first
take turns, so that a recovered CA is noticed. After a success the first is asked again: the count
starts at zero. A CA that sent Retry-After is not asked before that time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tlsgate.acme.config.ca import CaTurns

PATIENCE = timedelta(days=1)
"""If the first CA's Retry-After is longer than this, the second one is asked, if there is one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The CA to ask, and the earliest time."""

    directory: str
    at: datetime


def next_turn(cas: CaTurns, failures: int, holds: Mapping[str, datetime], at: datetime) -> Turn:
    """`failures`: in a row. `holds`: by Retry-After. `at`: the earliest time by back-off."""
    first, *others = (
        Turn(directory, max(at, holds.get(directory, at))) for directory in cas.directories
    )
    if failures < cas.after:
        return others[0] if others and first.at - at > PATIENCE else first
    if others and (failures - cas.after) % 2 == 0:
        return min(others[0], first, key=lambda turn: turn.at)
    return min(first, *others, key=lambda turn: turn.at) if others else first
