"""The files of recipients: what they hold, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.problems import ProblemsError
from tlsgate.recipients import load_recipients, parse_recipients
from tlsgate.render.postfix_settings import is_mailbox

DOMAIN = "corp.example"


def test_addresses_are_read_from_every_file(tmp_path: Path) -> None:
    (tmp_path / DOMAIN).write_text("jane\n\n# the team\nInfo@corp.example  # all\n")
    (tmp_path / "brand.example").write_text("a.b+c\n")
    (tmp_path / "README.md").write_text("what this is\n")
    assert load_recipients(tmp_path, (DOMAIN, "brand.example")) == (
        "a.b+c@brand.example",
        "info@corp.example",
        "jane@corp.example",
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("jane@other.example", "bad-recipient"),
        ("jane doe", "bad-recipient"),
        ("@corp.example", "bad-recipient"),
        ("jane@", None),
        (".jane", "bad-recipient"),
        ("j..e", "bad-recipient"),
        ("jürgen", "bad-recipient"),
        ('"jane"', "bad-recipient"),
        ("jane\tOK", "bad-recipient"),
        ("*", "bad-recipient"),
        ("JANE", "doubled"),
        ("jane@corp.example", "doubled"),
        ("john", None),
    ],
)
def test_each_wrong_line_is_named(line: str, code: str | None) -> None:
    _, problems = parse_recipients(f"jane\n{line}\n", DOMAIN, "recipients/corp.example")
    if line == "jane@":  # the domain was forgotten, the address is the first line's
        code = "doubled"
    assert [(one.line, one.code) for one in problems] == ([(2, code)] if code else [])


def test_all_problems_of_all_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / DOMAIN).write_text("jane\njane\n")
    (tmp_path / "brnd.example").write_text("info\n")
    (tmp_path / "latin.example").write_bytes(b"\xe4\n")
    with pytest.raises(ProblemsError) as caught:
        load_recipients(tmp_path, (DOMAIN, "brand.example", "latin.example"))
    found = [(Path(one.file).name, one.line, one.code) for one in caught.value.problems]
    assert found == [
        ("brand.example", 0, "no-recipients"),
        ("brnd.example", 0, "unknown-domain"),
        (DOMAIN, 2, "doubled"),
        ("latin.example", 0, "no-recipients"),
    ]


@given(st.text())
def test_whatever_is_read_is_an_address_of_the_domain(text: str) -> None:
    addresses, _ = parse_recipients(text, DOMAIN, "f")
    assert all(is_mailbox(one) and one.endswith(f"@{DOMAIN}") for one in addresses)
