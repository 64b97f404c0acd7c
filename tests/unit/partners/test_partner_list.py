import os
from pathlib import Path

import pytest

from tests.unit.partners.partner_files import RECORD, complaints, load, record
from tlsgate.partners.load import load_partners
from tlsgate.problems import ProblemsError


def test_partners_of_many_files_and_documents_are_sorted_by_name() -> None:
    partners = load(
        zulu=record(name="Zulu", domains="[zulu.example]"),
        both="---\n".join(
            [
                record(name="Mike", domains="[mike.example]"),
                record(name="Alfa", domains="[alfa.example]"),
            ]
        ),
    )
    assert [partner.name for partner in partners] == ["Alfa", "Mike", "Zulu"]
    assert [Path(partner.file).name for partner in partners] == [
        "both.yaml",
        "both.yaml",
        "zulu.yaml",
    ]


@pytest.mark.parametrize(
    ("first", "second", "reported"),
    [
        (
            record(),
            record(name="acme motors ag", domains="[b.example]"),
            [
                "partners/b.yaml:1: name: `acme motors ag` is already in partners/a.yaml:1."
                " Merge the two records, or give each its own name. [name-doubled]"
            ],
        ),
        (
            record(),
            record(name="Beta", domains="[beta.example, acme.example]"),
            [
                "partners/b.yaml:5: domains[1]: `acme.example` is already in"
                " partners/a.yaml:5 (Acme Motors AG). Keep it in one of the two records."
                " [domain-doubled]"
            ],
        ),
        (
            record(),
            record(name="Beta", domains="[parts.acme.example]"),
            [
                "partners/b.yaml:5: domains[0]: `parts.acme.example` is below `acme.example`,"
                " which partners/a.yaml:5 (Acme Motors AG) lists with its subdomains. Keep it in"
                " one of the two records, or write `subdomains: false` in partners/a.yaml."
                " [domain-overlap]"
            ],
        ),
        (
            record(domains="[x.parts.acme.example]"),
            record(name="Beta"),
            [
                "partners/a.yaml:5: domains[0]: `x.parts.acme.example` is below `acme.example`,"
                " which partners/b.yaml:5 (Beta) lists with its subdomains. Keep it in"
                " one of the two records, or write `subdomains: false` in partners/b.yaml."
                " [domain-overlap]"
            ],
        ),
        (record(subdomains="false"), record(name="Beta", domains="[parts.acme.example]"), []),
        (
            record(domains="[acme.example, parts.acme.example]"),
            record(name="Beta", domains="[notacme.example]"),
            [],
        ),
    ],
)
def test_two_records_never_own_one_domain(first: str, second: str, reported: list[str]) -> None:
    assert complaints(a=first, b=second) == reported


@pytest.mark.parametrize(
    ("own", "listed", "what"),
    [
        ("corp.example", "corp.example", "`corp.example` is your own domain."),
        ("corp.example", "de.corp.example", "is below your own domain `corp.example`."),
        ("mail.corp.example", "corp.example", "is above your own domain `mail.corp.example`."),
    ],
)
def test_a_partner_never_lists_our_own_domains(own: str, listed: str, what: str) -> None:
    (reported,) = complaints([own], acme=record(domains=f"[{listed}]"))
    assert reported.startswith("partners/acme.yaml:5: domains[0]: ")
    assert what in reported
    assert reported.endswith("[own-domain]")


def test_an_own_domain_that_is_not_canonical_is_refused() -> None:
    assert complaints(["Corp.example"], acme=RECORD) == [
        "own_domains[0]: `Corp.example` has upper-case letters. Write corp.example. [bad-domain]"
    ]


def test_problems_of_all_files_are_reported_together_by_file_and_line() -> None:
    reported = complaints(
        c=record(name="C", domains="[acme.example]"),
        a="name: A\n\tcontact: b\n",
        b=record(contact="nobody", domains="[acme.example]", review="never"),
    )
    assert [line.split(": ")[0] for line in reported] == [
        "partners/a.yaml:2",
        "partners/b.yaml:2",
        "partners/b.yaml:4",
        "partners/c.yaml:5",
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("partners").mkdir()
    Path("partners/acme.yaml").write_text(RECORD)
    return Path("partners")


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        load_partners(folder)
    return [str(problem) for problem in caught.value.problems]


def test_file_names_are_relative_to_the_working_directory(folder: Path) -> None:
    for name in (folder, folder.absolute()):
        assert [partner.file for partner in load_partners(name)] == ["partners/acme.yaml"]


def test_readme_and_hidden_files_are_ignored(folder: Path) -> None:
    (folder / "README.md").write_text("# Partners\n")
    (folder / ".acme.yaml.swp").write_bytes(b"\xff")
    assert len(load_partners(folder)) == 1


def test_an_empty_folder_is_an_empty_list(tmp_path: Path) -> None:
    assert load_partners(tmp_path) == ()


@pytest.mark.parametrize("name", ["nowhere", "partners/acme.yaml"])
def test_a_path_that_is_not_a_folder_is_reported(folder: Path, name: str) -> None:
    (reported,) = problems_of(Path(name))
    assert reported.startswith(f"{name}: cannot be read as a folder (No")
    assert reported.endswith("Name the folder that holds the partner files. [no-folder]")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("beta.yml", "must be named in lower-case words joined by hyphens, ending in .yaml."),
        ("Beta Corp.yaml", "Rename it to beta-corp.yaml. [file-name]"),
        (".beta.yaml", "Rename it to beta.yaml. [file-name]"),
        ("beta.json", "is not a record file. Delete it, or name it <partner>.yaml."),
        ("beta.yaml.bak", "[unknown-file]"),
    ],
)
def test_no_other_file_is_ignored(folder: Path, name: str, complaint: str) -> None:
    (folder / name).write_text(record(name="Beta", domains="[beta.example]"))
    (reported,) = problems_of(folder)
    assert reported.startswith(f"partners/{name}: ")
    assert complaint in reported


def test_links_folders_and_pipes_are_refused_without_being_opened(folder: Path) -> None:
    (folder / "link.yaml").symlink_to("/etc/passwd")
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    assert problems_of(folder) == [
        "partners/folder.yaml: is not a regular file. Put record files directly into the folder."
        " [not-a-file]",
        "partners/link.yaml: is a symbolic link. Put the file itself here. [symlink]",
        "partners/pipe.yaml: is not a regular file. Put record files directly into the folder."
        " [not-a-file]",
    ]


def test_a_file_name_that_does_not_print_is_escaped(folder: Path) -> None:
    Path(os.fsdecode(b"partners/\xff\x1b.yaml")).write_text(RECORD)
    (reported,) = problems_of(folder)
    assert reported.isprintable()
    assert reported.startswith(r"partners/\udcff\x1b.yaml: must be named")
