"""When a certificate is ordered, and when a failed one is tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.backoff import Failure, Failures, failed
from tlsgate.acme.certificate import Facts
from tlsgate.acme.due import Order, Served, due, renewal_time

ORDER = Order(("b.example", "a.example"), "https://ca.example/dir", "tlsserver")
DAY = timedelta(days=1)


def served(life: timedelta = 90 * DAY, age: timedelta = DAY) -> Served:
    found = Facts(("a.example", "b.example"), "ab" * 32, "1f", NOW - age, NOW - age + life)
    return Served(found, ORDER.directory, ORDER.profile, None)


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
            replace(ORDER, directory="https://other.example/dir"),
            "its issuer is https://ca.example/dir, wanted is https://other.example/dir",
        ),
        (served(), replace(ORDER, profile=None), "its profile is tlsserver, wanted is none"),
        (
            replace(served(), fault="it is not for TLS servers"),
            ORDER,
            "peers would refuse it: it is not for TLS servers",
        ),
        (served(age=59 * DAY), ORDER, None),
        (
            served(age=60 * DAY),
            ORDER,
            "it is to be renewed from 2026-11-25 12:00:00 UTC on",
        ),
        (served(age=100 * DAY), ORDER, "it is to be renewed from 2026-10-16 12:00:00 UTC on"),
        (served(life=8 * DAY, age=timedelta(days=3, hours=23)), ORDER, None),
        (
            served(life=8 * DAY, age=4 * DAY),
            ORDER,
            "it is to be renewed from 2026-11-25 12:00:00 UTC on",
        ),
    ],
)
def test_due(current: Served | None, order: Order, reason: str | None) -> None:
    assert due(order, current, NOW) == reason


@pytest.mark.parametrize(
    ("life", "left"),
    [(90 * DAY, 30 * DAY), (45 * DAY, 15 * DAY), (12 * DAY, 4 * DAY), (6 * DAY, 3 * DAY)],
)
def test_renewal_time(life: timedelta, left: timedelta) -> None:
    assert NOW + life - renewal_time(NOW, NOW + life) == left


def test_waits_grow_to_a_day() -> None:
    failure: Failure | None = None
    waits = []
    for _ in range(6):
        failure = failed(failure, "no", NOW, None)
        waits.append(failure.next_try - NOW)
    minute = timedelta(minutes=1)
    assert waits == [minute, 10 * minute, 100 * minute, DAY, DAY, DAY]
    assert failure is not None
    assert failure.count == 6


@pytest.mark.parametrize(
    ("retry_at", "expected"),
    [
        (None, NOW + timedelta(minutes=1)),
        (NOW + timedelta(hours=3), NOW + timedelta(hours=3)),
        (NOW + timedelta(seconds=5), NOW + timedelta(minutes=1)),
    ],
)
def test_the_ca_can_only_make_the_wait_longer(
    retry_at: datetime | None, expected: datetime
) -> None:
    assert failed(None, "no", NOW, retry_at).next_try == expected


def test_failures_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "failures.json"
    assert Failures(path).get("mx/a") is None
    first = Failures(path).add("mx/a", "no\nreally", NOW, None)
    Failures(path).add("mx/b", "no", NOW, None)
    assert Failures(path).get("mx/a") == first
    assert Failures(path).add("mx/a", "no", NOW, None).count == 2
    Failures(path).clear("mx/a")
    assert Failures(path).get("mx/a") is None
    assert Failures(path).get("mx/b") is not None


@pytest.mark.parametrize("content", ["", "[]", '{"mx/a": 1}', '{"mx/a": {"count": 1}}', "\0"])
def test_a_spoilt_file_is_written_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "failures.json"
    path.write_text(content)
    assert Failures(path).get("mx/a") is None
    assert Failures(path).add("mx/a", "no", NOW, None).count == 1
    assert Failures(path).get("mx/a") is not None
