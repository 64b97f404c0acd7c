"""A CA's limits: counted on the volume, whatever is restarted or killed."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.ca.rate_limits import ACCOUNT, RateLimiter, names_subject
from tlsgate.acme.config.limits import Limit, Limits
from tlsgate.acme.faults import AcmeFault

LIMITS = Limits(
    orders=Limit(3, 60),
    duplicates=Limit(1, 600),
    replacements=Limit(2, 600),
    failed_authorizations=Limit(2, 30),
)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("times", "free_at"),
    [
        ((), None),
        ((-10, -5), None),
        ((-10, -5, -1), 50),
        ((-1, -10, -5), 50),
        ((-70, -5, -1), None),
        ((-60, -5, -1), None),
        ((-40, -30, -20, -10), 30),
    ],
)
def test_free_at(times: tuple[float, ...], free_at: float | None) -> None:
    found = LIMITS.orders.free_at(map(at, times), NOW)
    assert found == (None if free_at is None else at(free_at))


class Book:
    """A new rate limiter for each use, at a time of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path / "ledger.json"
        self.seconds = 0.0

    @property
    def now(self) -> RateLimiter:
        return RateLimiter(self.path, LIMITS, lambda: at(self.seconds))

    def refuses(self, kind: str, subject: str) -> datetime | None:
        try:
            self.now.check(kind, subject)
        except AcmeFault as fault:
            assert fault.untried
            return fault.retry_at
        return None


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_counts_by_kind_and_subject(book: Book) -> None:
    book.now.count("failed_authorizations", ["a.example", "b.example"])
    book.seconds = 10
    book.now.count("failed_authorizations", ["a.example"])
    book.now.count("orders", [ACCOUNT])
    assert book.refuses("failed_authorizations", "a.example") == at(30)
    assert book.refuses("failed_authorizations", "b.example") is None
    assert book.refuses("orders", ACCOUNT) is None
    book.seconds = 30
    assert book.refuses("failed_authorizations", "a.example") is None


def test_takes_the_last_one_back(book: Book) -> None:
    book.now.count("failed_authorizations", ["a.example", "b.example"])
    book.seconds = 5
    book.now.count("failed_authorizations", ["a.example", "b.example"])
    book.now.uncount("failed_authorizations", ["a.example"])
    assert book.refuses("failed_authorizations", "a.example") is None
    assert book.refuses("failed_authorizations", "b.example") == at(30)
    book.seconds = 10
    book.now.count("failed_authorizations", ["a.example"])
    assert book.refuses("failed_authorizations", "a.example") == at(30)
    book.now.uncount("orders", [ACCOUNT])


def test_says_what_is_kept_and_until_when(book: Book) -> None:
    book.now.count("duplicates", [names_subject(["b.example", "a.example"])])
    with pytest.raises(AcmeFault) as caught:
        book.now.check("duplicates", names_subject(["a.example", "b.example"]))
    assert caught.value.reason == (
        "not asked, to keep the CA's limit of 1 certificates for exactly these names in 600 s; "
        "the next is allowed at 2026-11-25 12:10:00 UTC"
    )
    assert "tlsgate:acme.limits" in caught.value.remedy
    assert book.refuses("duplicates", names_subject(["a.example"])) is None


def test_forgets_what_matters_no_more(book: Book) -> None:
    for second in range(100):
        book.seconds = second
        book.now.count("failed_authorizations", ["a.example"])
    assert book.path.read_text().count("a.example") == 30


@pytest.mark.parametrize("content", ["", "[]", '{"uses": [[1]]}', '{"uses": 5}'])
def test_a_file_that_somebody_else_wrote_counts_as_none(book: Book, content: str) -> None:
    book.path.write_text(content)
    assert book.refuses("orders", ACCOUNT) is None
    book.now.count("orders", 3 * [ACCOUNT])
    assert book.refuses("orders", ACCOUNT) == at(60)
