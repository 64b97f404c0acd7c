import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.unit.partners.ca_certificates import ca_pem, yaml_ca
from tlsgate import cli
from tlsgate.commands import partners as command

ACME = """\
name: Acme Motors AG
contact: postmaster@acme.example
agreed: 2026-10-01
review: 2027-10-01
domains: [acme.example, parts.acme.example]
outbound: {mx: [.mail.acme.example]}
"""
BETA = """\
name: ベータ
contact: postmaster@beta.example
agreed: 2026-10-01
review: 2027-10-01
domains: [a.example, b.example, c.example, d.example]
subdomains: false
outbound: {verify: dane}
inbound: {require: network, networks: [192.0.2.0/28]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """partners/ with two records, on a day before their review."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_today", lambda: date(2026, 11, 24))
    Path("partners").mkdir()
    Path("partners/acme.yaml").write_text(ACME)
    Path("partners/beta.yaml").write_text(BETA)
    return Path("partners")


def test_check_counts_and_gives_the_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partners", "check"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "2 partners, 6 domains: no problems"
    assert second.startswith("digest ")
    assert len(second.split()[1]) == 64


def test_check_reports_every_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "beta.yaml").write_text("name: Beta\n\tmode: enforce\n")
    (folder / "gamma.yaml").write_text("")
    assert cli.main(["partners", "check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "partners/beta.yaml:2: is indented with a tab. Indent with spaces. [tab]",
        "partners/gamma.yaml: contains no record. Write a record, or delete it. [empty-file]",
        "2 problems.",
    ]


@pytest.mark.parametrize("name", ["check", "list", "compile"])
def test_every_command_reports_problems_as_json(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "beta.yaml").write_text("")
    assert cli.main(["partners", name, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "problems": [
            {
                "file": "partners/beta.yaml",
                "line": 0,
                "key": "",
                "code": "empty-file",
                "message": "contains no record",
                "remedy": "Write a record, or delete it",
            }
        ]
    }


@pytest.mark.parametrize("name", ["list", "compile"])
def test_a_refused_list_leaves_stdout_empty(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "beta.yaml").write_text("")
    assert cli.main(["partners", name]) == 1
    reported = capsys.readouterr()
    assert reported.out == ""
    assert "empty-file" in reported.err


def test_check_notes_a_review_that_is_due_and_still_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_today", lambda: date(2027, 10, 2))
    assert cli.main(["partners", "check"]) == 0
    assert capsys.readouterr().out.startswith(
        "partners/acme.yaml: note: the review of Acme Motors AG was due by 2027-10-01.\n"
    )
    assert cli.main(["partners", "check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reviews_due"][0] == {
        "name": "Acme Motors AG",
        "review": "2027-10-01",
        "file": "partners/acme.yaml",
    }
    assert (found["partners"], found["domains"], found["problems"]) == (2, 6, [])


def test_list_is_an_aligned_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partners", "list", "partners"]) == 0
    header, acme, beta = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "PARTNER",
        "DOMAINS",
        "SUBDOMAINS",
        "OUTBOUND",
        "INBOUND",
        "REVIEW",
        "FILE",
    ]
    assert acme.split("  ")[0] == "Acme Motors AG"
    assert "a.example, b.example, c.example and 1 more" in beta
    # Each of the three letters of ベータ takes two columns of the terminal.
    assert acme.index("acme.example") == header.index("DOMAINS") == beta.index("a.example") + 3
    assert beta.endswith("no          dane      network  2027-10-01  partners/beta.yaml")


def test_list_as_json_holds_the_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partners", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [partner["name"] for partner in found["partners"]] == ["Acme Motors AG", "ベータ"]
    assert found["partners"][0]["file"] == "partners/acme.yaml"
    assert found["partners"][1]["inbound"] == {
        "require": "network",
        "public_keys": [],
        "networks": ["192.0.2.0/28"],
    }


def test_compile_shows_both_directions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partners", "compile"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ".acme.example        secure match=.mail.acme.example" in lines
    assert "d.example            dane-only" in lines
    assert "a.example  always  network  192.0.2.0/28" in lines


def test_check_reports_that_a_private_ca_has_expired(capsys: pytest.CaptureFixture[str]) -> None:
    """A note and no problem: time alone never makes a list invalid."""
    ended = ca_pem("Old CA", datetime(2021, 1, 1, tzinfo=UTC))
    record = BETA.replace("outbound: {verify: dane}\n", f"outbound:{yaml_ca(ended)}")
    assert record != BETA
    Path("partners/beta.yaml").write_text(record)
    assert cli.main(["partners", "check"]) == 0
    note = "partners/beta.yaml: note: the CA of ベータ expired on 2021-01-01: mail to it is held."
    assert note in capsys.readouterr().out
    assert cli.main(["partners", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cas_ended"] == [
        {"name": "ベータ", "ended": "2021-01-01", "file": "partners/beta.yaml"}
    ]


def test_compile_shows_the_dates_of_exceptions(capsys: pytest.CaptureFixture[str]) -> None:
    rules = "".join(
        f"  - {{until: 2026-12-24, direction: {direction}, allow: plaintext, reason: late,"
        " approved_by: security@corp.example}\n"
        for direction in ("inbound", "outbound")
    )
    with Path("partners/acme.yaml").open("a") as file:
        file.write(f"exceptions:\n{rules}")
    with Path("partners/beta.yaml").open("a") as file:
        file.write("mode: observe\n")
    assert cli.main(["partners", "compile"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "acme.example until 2026-12-25 00:00 UTC may",
        "acme.example then secure match=.mail.acme.example",
        "acme.example until 2026-12-25 00:00 UTC plaintext is enough",
        "acme.example always tls",
        "a.example partner_recipient",
    ):
        assert line in lines
    observed = [line for line in lines if line.endswith("only observed")]
    assert {line.split()[0] for line in observed} == {
        "a.example",
        "b.example",
        "c.example",
        "d.example",
    }


def test_compile_as_json_is_what_check_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partners", "compile", "--json"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    assert compiled["outbound"]["a.example"] == "dane-only"
    assert ".a.example" not in compiled["outbound"]
    assert compiled["rules"]["inbound"][0]["networks"] == ["192.0.2.0/28"]
    cli.main(["partners", "check", "--json"])
    assert json.loads(capsys.readouterr().out)["digest"] == compiled["digest"]


def test_an_empty_list_compiles_to_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    assert cli.main(["partners", "compile", "none"]) == 0
    assert capsys.readouterr().out.count("(none)") == 6


def test_own_domains_are_refused_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--own-domain", "corp.example", "--own-domain", "parts.acme.example"]
    assert cli.main(["partners", "check", *own]) == 1
    assert "`parts.acme.example` is your own domain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["partners"], "required: COMMAND"),
        (["partner"], "invalid choice: 'partner'"),
        (["partners", "check", "--jsn"], "unrecognized arguments: --jsn"),
        (
            ["partners", "check", "--own-domain", "Corp.example"],
            "`Corp.example` has upper-case letters. Write corp.example",
        ),
    ],
)
def test_wrong_usage_is_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["check", "list", "compile"])
def test_help_has_examples_and_the_shape_of_the_json(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["partners", name, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"examples:\n  tlsgate partners {name}\n" in text
    assert '{"problems": [], ' in text
    assert "exit status: 0" in text


@pytest.mark.parametrize(
    ("option", "said"), [("--version", "tlsgate 0"), ("--help", "check, list and compile")]
)
def test_general_questions_are_answered_without_loading_a_command(option: str, said: str) -> None:
    script = (
        "import sys; from tlsgate.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert not {'yaml', 'publicsuffixlist'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        check=False,
        args=[sys.executable, "-c", script, option],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


def test_a_reader_that_leaves_early_gets_no_traceback(folder: Path) -> None:
    for number in range(2000):
        record = ACME.replace("acme", f"p{number}").replace("Acme Motors AG", f"P{number}")
        (folder / f"p{number}.yaml").write_text(record)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        check=False,
        args=[sys.executable, "-m", "tlsgate", "partners", "list"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_terminal_without_unicode_gets_names_escaped() -> None:
    done = subprocess.run(
        check=False,
        args=[sys.executable, "-m", "tlsgate", "partners", "list"],
        capture_output=True,
        timeout=30,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u30d9\u30fc\u30bf" in done.stdout
