"""What all commands of `tlsgate partners` share."""

from __future__ import annotations

import pytest

from tlsgate import cli
from tlsgate.commands.partners import MODULES


@pytest.mark.parametrize("name", MODULES.values())
def test_each_command_has_help_with_examples_and_exit_status(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["partners", name, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"  tlsgate partners {name}" in text
    assert "example" in text
    assert "exit status: 0" in text


def test_the_list_of_commands_says_what_each_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["partners", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for name in MODULES.values():
        assert any(line.split()[:1] == [name] and len(line.split()) > 3 for line in lines)
