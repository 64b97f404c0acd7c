"""Values of a partner record that are not read from a file."""

from __future__ import annotations

from datetime import date

import pytest

from tlsgate.partners.values import default_review


@pytest.mark.parametrize(
    ("agreed", "review"),
    [
        (date(2026, 11, 24), date(2027, 11, 24)),
        (date(2028, 2, 29), date(2029, 2, 28)),
        (date(2027, 2, 28), date(2028, 2, 28)),
    ],
)
def test_a_new_record_is_reviewed_after_a_year(agreed: date, review: date) -> None:
    assert default_review(agreed) == review
