"""The file of an enforced partner: one line and one comment, whatever else it holds."""

from __future__ import annotations

import pytest

from tests.unit.onboarding.observed_partner import ACME, ACME_FILE, TODAY
from tlsgate.onboarding.promotion import enforced_file, evidence_comment, override_comment
from tlsgate.partners.canonical import format_file
from tlsgate.problems import ProblemsError

COMMENT = "# Enforced since 2026-11-24: much mail, all clean."
BETA = ACME_FILE.replace("Acme Motors AG", "Beta").replace("acme.example", "beta.example")


def enforced(text: str) -> str:
    return text.replace("mode: observe", f"{COMMENT}\nmode: enforce")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ACME_FILE, enforced(ACME_FILE)),
        (f"# A head\n{ACME_FILE}# A foot\n", enforced(f"# A head\n{ACME_FILE}# A foot\n")),
        (
            ACME_FILE.replace("mode: observe", "# ours\nmode: observe  # for now"),
            ACME_FILE.replace("mode: observe", f"# ours\n{COMMENT}\nmode: enforce  # for now"),
        ),
        (
            ACME_FILE.replace("mode:", "# Enforced since 2025-01-01: x, all clean.\nmode:"),
            enforced(ACME_FILE),
        ),
        (f"{BETA}---\n{ACME_FILE}", f"{BETA}---\n{enforced(ACME_FILE)}"),
        (f"{ACME_FILE}---\n{BETA}", f"{enforced(ACME_FILE)}---\n{BETA}"),
        (ACME_FILE.replace("mode: observe", "mode: 'observe'"), enforced(ACME_FILE)),
        ("mode: observe\n" + ACME_FILE.replace("mode: observe\n", ""), enforced(ACME_FILE)),
    ],
    ids=["plain", "head and foot", "comments", "again", "second", "first", "quoted", "other order"],
)
def test_only_the_mode_changes(before: str, after: str) -> None:
    text = enforced_file(before.encode(), ACME, COMMENT)
    assert text == after
    assert format_file(text.encode(), ACME.file).text == text


def test_a_file_that_has_changed_meanwhile_is_not_written() -> None:
    with pytest.raises(ProblemsError, match="has changed since it was read"):
        enforced_file(BETA.encode(), ACME, COMMENT)
    with pytest.raises(ProblemsError, match="unknown-key"):
        enforced_file(f"{ACME_FILE}more: 1\n".encode(), ACME, COMMENT)


def test_a_reason_that_is_not_a_comment_changes_nothing() -> None:
    with pytest.raises(ValueError, match="would change in other ways too"):
        enforced_file(ACME_FILE.encode(), ACME, "subdomains: false\n#")


def test_comments() -> None:
    assert evidence_comment(TODAY, "much mail") == COMMENT
    reason = "never writes # to us: 'yes'"
    text = enforced_file(ACME_FILE.encode(), ACME, override_comment(TODAY, reason))
    assert f"# Enforced since 2026-11-24 without enough evidence: {reason}\nmode: enforce\n" in text


def test_an_enforced_partner_is_not_promoted_again() -> None:
    text = enforced_file(ACME_FILE.encode(), ACME, COMMENT)
    with pytest.raises(ProblemsError, match="has changed"):
        enforced_file(text.encode(), ACME, COMMENT)
