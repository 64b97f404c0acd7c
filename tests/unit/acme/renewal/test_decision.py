"""When a certificate is ordered, and when a failed one is tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.certificate import Facts, Meta
from tlsgate.acme.config.ca import CaTurns
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.renewal.decision import (
    Requirements,
    Served,
    latest_renewal,
    reason_to_order,
    renewal_time,
)
from tlsgate.acme.renewal.failures import Failure, Failures, failed

CA, OTHER = Meta("https://ca.example/dir", "tlsserver"), Meta("https://other.example/dir", None)
ORDER = Requirements(("b.example", "a.example"), (CA, OTHER))
CAS = CaTurns((CA.directory,))
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def served(left: timedelta = 30 * DAY) -> Served:
    found = Facts(("a.example", "b.example"), "ab" * 32, "1f", NOW - DAY, NOW + 89 * DAY)
    return Served(found, CA, None, NOW + left)


@pytest.mark.parametrize(
    ("current", "order", "reason"),
    [
        (served(), ORDER, None),
        (None, ORDER, "there is no certificate yet"),
        (
            served(),
            replace(ORDER, names=("a.example", "c.example")),
            "its names differ: add c.example, drop b.example",
        ),
        (
            served(),
            replace(ORDER, issuers=(OTHER,)),
            "its issuer is https://ca.example/dir, wanted is https://other.example/dir",
        ),
        (replace(served(), issuer=OTHER), ORDER, None),
        (
            replace(served(), issuer=structs.replace(OTHER, profile="short")),
            ORDER,
            "its profile is short, wanted is none",
        ),
        (
            served(),
            replace(ORDER, issuers=(structs.replace(CA, profile=None),)),
            "its profile is tlsserver, wanted is none",
        ),
        (
            replace(served(), fault="it is not for TLS servers"),
            ORDER,
            "peers would reject it: it is not for TLS servers",
        ),
        (served(MINUTE), ORDER, None),
        (served(0 * DAY), ORDER, "it is to be renewed from 2026-11-25 12:00:00 UTC"),
        (served(-DAY), ORDER, "it is to be renewed from 2026-11-24 12:00:00 UTC"),
    ],
)
def test_due(current: Served | None, order: Requirements, reason: str | None) -> None:
    assert reason_to_order(order, current, NOW) == reason


@pytest.mark.parametrize(
    ("life", "left"),
    [(90 * DAY, 30 * DAY), (45 * DAY, 15 * DAY), (12 * DAY, 4 * DAY), (6 * DAY, 3 * DAY)],
)
def test_renewal_time(life: timedelta, left: timedelta) -> None:
    """Up to a hundredth of the lifetime earlier, by the serial alone."""
    times = [renewal_time(NOW, NOW + life, f"{serial:x}") for serial in range(200)]
    earlier = [NOW + life - left - time for time in times]
    assert min(earlier) >= timedelta()
    assert max(earlier) < life / 100
    assert max(earlier) - min(earlier) > life / 200
    assert times == [renewal_time(NOW, NOW + life, f"{serial:x}") for serial in range(200)]


def test_latest_renewal() -> None:
    assert latest_renewal(NOW, NOW + 90 * DAY) == NOW + 75 * DAY


def fault(retry_at: datetime | None = None, *, untried: bool = False) -> AcmeFault:
    return AcmeFault("no", "wait", retry_at, untried=untried)


def test_waits_grow_to_a_day() -> None:
    failure: Failure | None = None
    waits = []
    for _ in range(6):
        failure = failed(failure, fault(), NOW, CAS)
        waits.append(failure.next_try - NOW)
    assert waits == [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY, DAY]
    assert failure is not None
    assert failure.count == 6


@pytest.mark.parametrize(
    ("retry_at", "expected"),
    [
        (None, NOW + timedelta(minutes=1)),
        (NOW + timedelta(hours=3), NOW + timedelta(hours=3)),
        (NOW + timedelta(seconds=5), NOW + timedelta(minutes=1)),
        (NOW - DAY, NOW + timedelta(minutes=1)),
    ],
)
def test_the_ca_can_only_make_the_wait_longer(
    retry_at: datetime | None, expected: datetime
) -> None:
    assert failed(None, fault(retry_at), NOW, CAS).next_try == expected


def test_what_was_not_tried_is_not_counted() -> None:
    held = failed(None, fault(NOW + DAY, untried=True), NOW, CAS)
    assert (held.count, held.next_try) == (0, NOW + DAY)
    first = failed(held, fault(), NOW + DAY, CAS)
    assert (first.count, first.next_try, first.holds) == (1, NOW + DAY + MINUTE, {})
    again = failed(first, fault(NOW + 2 * DAY, untried=True), NOW + DAY, CAS)
    assert (again.count, again.next_try) == (1, NOW + 2 * DAY)


def test_failures_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "failures.json"
    failure = Failures(path).add("mx/a", fault(NOW + DAY), NOW, CAS)
    assert failure.holds == {CA.directory: NOW + DAY}
    assert Failures(path).get("mx/a") == failure
    assert Failures(path).get("mx/b") is None
    Failures(path).clear("mx/a")
    assert Failures(path).get("mx/a") is None


@pytest.mark.parametrize("content", ["", "[]", '{"mx/a": 1}', '{"mx/a": {}}'])
def test_a_file_that_somebody_else_wrote_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "failures.json"
    path.write_text(content)
    assert Failures(path).get("mx/a") is None
    assert Failures(path).add("mx/a", fault(), NOW, CAS).count == 1
