"""Which CA a certificate is asked of, and when, after what failed before. Pure.

The first CA is asked until it failed so many times in a row; then the second and the first take
turns, so that one that came back is noticed whatever the other does. After a success the first
is asked again: the count starts anew. A CA that named a time itself (Retry-After) is not asked
before it, by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tlsgate.acme.config.ca import Cas

PATIENCE = timedelta(days=1)
"""A first CA that wants to be left alone for longer is not waited for if there is a second."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Ask this CA, not before that time."""

    directory: str
    at: datetime


def next_turn(cas: Cas, failures: int, holds: Mapping[str, datetime], at: datetime) -> Turn:
    """`failures`: in a row. `holds`: a CA's own word. `at`: the time that back-off allows."""
    first, *others = (
        Turn(directory, max(at, holds.get(directory, at))) for directory in cas.directories
    )
    if failures < cas.after:
        return others[0] if others and first.at - at > PATIENCE else first
    if others and (failures - cas.after) % 2 == 0:
        return min(others[0], first, key=lambda turn: turn.at)
    return min(first, *others, key=lambda turn: turn.at) if others else first
