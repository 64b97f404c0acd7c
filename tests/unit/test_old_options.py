"""Options that were renamed: the old spelling means the same, and is not in the help."""

from __future__ import annotations

import re

import pytest

from tlsgate import cli

ADD = ("partners", "add", "acme.example")
DIFF = ("partners", "diff", "main")
EXPORT = ("partners", "export", "--to", "postfix")
IMPORT = ("partners", "import", "--from", "csv", "list.csv")
PROBE = ("probe", "acme.example")
PROMOTE = ("partners", "promote", "Acme")


@pytest.mark.parametrize(
    ("command", "old", "new", "value"),
    [
        (ADD, "--ask", "--own-contact", ["mail@corp.example"]),
        (ADD, "--folder", "--partners", ["list"]),
        (ADD, "--yes", "--non-interactive", []),
        (DIFF, "--folder", "--partners", ["list"]),
        (EXPORT, "--partly", "--partial", []),
        (IMPORT, "--into", "--partners", ["list"]),
        (IMPORT, "--partly", "--partial", []),
        (PROBE, "--at-once", "--parallel", ["7"]),
        (PROMOTE, "--days", "--min-days", ["3"]),
        (PROMOTE, "--folder", "--partners", ["list"]),
        (PROMOTE, "--inbound", "--min-inbound", ["4"]),
        (PROMOTE, "--outbound", "--min-outbound", ["5"]),
    ],
)
def test_the_old_spelling_means_the_same(
    command: tuple[str, ...],
    old: str,
    new: str,
    value: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = cli._parser(command)
    plain = vars(parser.parse_args(command))
    changed = vars(parser.parse_args([*command, new, *value]))
    assert changed != plain
    assert vars(parser.parse_args([*command, old, *value])) == changed
    words = re.findall(r"--[\w-]+", help_of(command, capsys))
    assert new in words
    assert old not in words


def test_certificates_check_was_called_look(capsys: pytest.CaptureFixture[str]) -> None:
    """What both do is in test_cli_certificates.py."""
    text = help_of(("certificates",), capsys)
    assert re.search(r"^ +check +ask the CA", text, re.MULTILINE)
    assert "look" not in text


def help_of(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        cli.main([*command, "--help"])
    return capsys.readouterr().out
