"""Whose turn it is among two CAs, after what failed before."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.config.ca import CaTurns
from tlsgate.acme.renewal.turns import Turn, next_turn

A, B = "https://first.example/dir", "https://second.example/dir"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALONE, BOTH = CaTurns((A,)), CaTurns((A, B), 3)


@pytest.mark.parametrize(
    ("cas", "failures", "holds", "turn"),
    [
        (ALONE, 0, {}, Turn(A, NOW)),
        (ALONE, 9, {}, Turn(A, NOW)),
        (ALONE, 1, {A: NOW + 9 * DAY}, Turn(A, NOW + 9 * DAY)),
        (ALONE, 1, {A: NOW - HOUR}, Turn(A, NOW)),
        (BOTH, 0, {}, Turn(A, NOW)),
        (BOTH, 2, {}, Turn(A, NOW)),
        (BOTH, 3, {}, Turn(B, NOW)),
        (BOTH, 4, {}, Turn(A, NOW)),
        (BOTH, 5, {}, Turn(B, NOW)),
        # A first CA that is busy for an hour is waited for, one that is for a week is not.
        (BOTH, 1, {A: NOW + HOUR}, Turn(A, NOW + HOUR)),
        (BOTH, 1, {A: NOW + 7 * DAY}, Turn(B, NOW)),
        # Who is busy leaves the turn to the other one; if both are, the first to be free has it.
        (BOTH, 3, {B: NOW + HOUR}, Turn(A, NOW)),
        (BOTH, 4, {A: NOW + HOUR}, Turn(B, NOW)),
        (BOTH, 3, {A: NOW + HOUR, B: NOW + DAY}, Turn(A, NOW + HOUR)),
        (BOTH, 4, {A: NOW + DAY, B: NOW + HOUR}, Turn(B, NOW + HOUR)),
    ],
)
def test_turn(cas: CaTurns, failures: int, holds: dict[str, datetime], turn: Turn) -> None:
    assert next_turn(cas, failures, holds, NOW) == turn
