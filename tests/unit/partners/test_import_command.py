"""`tlsgate partners import` and `export`: what is written, and when nothing is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.partners.import_parts import AGREED
from tests.unit.partners.partner_files import record
from tlsgate import cli
from tlsgate.partners.import_csv import read_csv
from tlsgate.partners.importing import Source, new_files, read_rows


def test_each_record_gets_a_file_of_its_own() -> None:
    source = Source("list", "name,domains\nAcme AG,a.example\nACME ag!,b.example\n本社,c.example\n")
    drafts = read_rows(read_csv(source), source, AGREED)
    names = [name for name, _ in new_files(drafts, ["acme-ag.yaml"])]
    assert names == ["acme-ag-2.yaml", "acme-ag-3.yaml", "c-example.yaml"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("partners")


def run(*arguments: str) -> int:
    return cli.main(["partners", "import", *arguments])


def test_import_writes_files_that_load_and_export_gives_the_table_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "a.example dane-only\nb.example secure match=mx.b.example\n"
    Path("map").write_text(table)
    assert (
        run("--from", "postfix", "map", "--agreed", "2026-10-01", "--contact", "s@c.example") == 0
    )
    assert capsys.readouterr().out.split() == ["partners/a-example.yaml", "partners/b-example.yaml"]
    assert (
        "contact: s@c.example\nagreed: 2026-10-01\nreview: 2027-10-01\n"
        in (folder / "a-example.yaml").read_text()
    )
    assert cli.main(["partners", "fmt", "--check"]) == 0
    assert cli.main(["partners", "export", "--to", "postfix"]) == 0
    assert capsys.readouterr().out.endswith(table)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "observe"}, "is only observed, but the table would hold mail"),
        (
            {
                "exceptions": "[{until: 2099-01-01, direction: outbound, allow: plaintext,"
                " reason: late, approved_by: s@corp.example}]"
            },
            "has an exception, which would not end in a table",
        ),
        ({"tls": "compatible"}, "allows older encryption, which needs more than a table"),
    ],
)
def test_records_that_a_table_cannot_express_are_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], said: str
) -> None:
    folder.mkdir()
    (folder / "acme.yaml").write_text(record(**changes))
    (folder / "beta.yaml").write_text(record(name="Beta", domains="[beta.example]"))
    assert cli.main(["partners", "export", "--to", "postfix"]) == 1
    reported = capsys.readouterr()
    assert reported.out == ""
    assert f"partners/acme.yaml: Acme Motors AG {said}" in reported.err
    assert cli.main(["partners", "export", "--to", "postfix", "--partial"]) == 1
    reported = capsys.readouterr()
    assert "acme.example" not in reported.out
    assert "\nbeta.example secure" in reported.out
    assert said in reported.err


def test_with_problems_nothing_is_written_without_partial(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("map").write_text("a.example dane-only\nb.example may\n")
    assert run("--from", "postfix", "map") == 1
    assert not folder.exists()
    assert "Use --partial to import the other entries." in capsys.readouterr().err
    assert run("--from", "postfix", "map", "--partial", "--dry-run") == 1
    assert not folder.exists()
    assert run("--from", "postfix", "map", "--partial") == 1
    assert [path.name for path in folder.iterdir()] == ["a-example.yaml"]
    written = (folder / "a-example.yaml").read_text()
    assert run("--from", "postfix", "map", "--partial") == 1
    assert "`a.example` is already in partners/a-example.yaml." in capsys.readouterr().err
    assert (folder / "a-example.yaml").read_text() == written


def test_records_that_collide_are_never_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    (folder / "acme.yaml").write_text(record())
    Path("list.csv").write_text("domains\nparts.acme.example\nb.example\n")
    assert run("--from", "csv", "list.csv", "--partial", "--json") == 1
    reported = json.loads(capsys.readouterr().out)
    assert [problem["code"] for problem in reported["problems"]] == ["domain-overlap"]
    assert reported["files"] == []
    assert [path.name for path in folder.iterdir()] == ["acme.yaml"]


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "unreadable"), (b"\xff", "not-utf-8"), (b"x" * 40_000_000, "file-too-large")],
)
def test_a_source_that_cannot_be_read_is_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, code: str
) -> None:
    if content is not None:
        Path("list.csv").write_bytes(content)
    assert run("--from", "csv", "list.csv") == 1
    assert f"[{code}]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["map"],
        ["--from", "bind", "map"],
        ["--from", "csv", "map", "--agreed", "1.10.2026"],
        ["--from", "csv", "map", "--contact", "nobody"],
    ],
)
def test_wrong_usage_of_import_is_status_2(folder: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
