"""`tlsgate partners diff`: revisions and folders, hostile ones too, exit codes and shapes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from tests.unit.partners.partner_files import record
from tests.unit.review.git_lists import ACME, BETA, Repository
from tlsgate import cli
from tlsgate.commands import partners_diff as command

WIDER = record(outbound="{mx: [acme.example, .acme.example, mx.evil.example]}")

EXCEPTION = (
    "[{until: 2026-12-24, direction: outbound, allow: encrypted, reason: late,"
    " approved_by: security@example.org}]"
)


@pytest.fixture(autouse=True)
def day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_today", lambda: date(2026, 11, 24))


@pytest.fixture
def listed(repository: Repository) -> Repository:
    """A repository whose base lists Acme."""
    files = {"partners/acme.yaml": ACME, "partners/README.md": "# Partners\n"}
    repository.base = repository.commit(files)
    return repository


def diff(*arguments: str) -> int:
    return cli.main(["partners", "diff", *arguments])


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({"acme.yaml": ACME}, 0, "## Partner list: no change\n"),
        ({"acme.yaml": ACME, "beta.yaml": BETA}, 0, "## Partner list: 1 added\n"),
        ({"acme.yaml": WIDER}, 3, "names `.acme.example`, `acme.example`, `mx.evil.example`"),
        ({}, 3, "**WEAKENED** `Acme Motors AG` (`acme.example` and below): removed from the list"),
        ({"acme.yaml": record(subdomains="false")}, 3, "subdomains are no longer covered"),
        ({"other.yaml": ACME}, 0, "file renamed: `acme.yaml` → `other.yaml`"),
        ({"acme.yaml": record(contact="it@acme.example")}, 0, "no change to any rule"),
        ({"acme.yaml": record(review="2028-10-01")}, 0, "review: `2027-10-01` → `2028-10-01`"),
        ({"acme.yaml": record(name="Acme AG")}, 0, "name: `Acme Motors AG` → `Acme AG`"),
        (
            {"acme.yaml": record(inbound="{require: network, networks: [192.0.2.0/28]}")},
            0,
            "its mail is refused without TLS from `192.0.2.0/28`",
        ),
        (
            {
                "acme.yaml": record(domains="[new.example]"),
                "beta.yaml": record(name="Beta", domains="[acme.example]"),
            },
            0,
            "moved from `Acme Motors AG` to `Beta`; to a rule as strict as before",
        ),
        ({"acme.yaml": record(mode="observe")}, 3, "mode: enforce → observe; no mail is held or"),
        (
            {"acme.yaml": record(exceptions=EXCEPTION)},
            3,
            "exception for outbound mail, encrypted: none → until 2026-12-24 (`late`, approved by",
        ),
        (
            {"acme.yaml": record(outbound="{verify: dane}")},
            3,
            "out: a public CA's certificate for the domain itself → DANE; servers may be accepted",
        ),
        (
            {"acme.yaml": record(inbound="{networks: [192.0.2.0/28]}")},
            0,
            "bounces from `192.0.2.0/28` need TLS",
        ),
        ({"acme.yaml": ""}, 1, "partners/acme.yaml: contains no record."),
        ({"acme.yaml": record(name="acme")[:-20]}, 1, "## Partner list: refused\n"),
    ],
)
def test_what_a_revision_changes(
    listed: Repository,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    code: int,
    said: str,
) -> None:
    head = listed.commit({f"partners/{name}": text for name, text in files.items()})
    assert diff(listed.base, head) == code
    assert said in capsys.readouterr().out
    assert not Path("partners").exists(), "nothing is checked out"


def test_renaming_a_partner_does_not_hide_a_changed_domain(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    disguised = record(name="Zeta", outbound="{mx: [.evil.example]}")
    head = listed.commit({"partners/zeta.yaml": disguised})
    assert diff(listed.base, head) == 3
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "**WEAKENED**" in one]
    assert line.startswith(
        "- **WEAKENED** `Acme Motors AG` (now `Zeta`) (`acme.example` and below)"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!!python/object/apply:os.system ['touch x']\n", "has the tag"),
        ("a: &a [x]\nb: *a\n", "has the anchor `&a`"),
        ("a: [" * 30 + "]" * 30, "is nested more than"),
        ("a" * (10 * 1024 * 1024), "is larger than 256 KiB"),
        ("name: A\x1b[31m\n", "invisible character U+001B"),
        ("name: A\u202eB\n", "invisible character U+202E"),
        (record() + "...\n%TAG ! x:\n---\n", "has a % directive"),
        (record(domains="[ACME.example]"), "has upper-case letters"),
        (record(domains="[acmé.example]"), "is not in its canonical form"),
        (record(domains="[acme.example, xn--acme-.example]"), "[bad-domain]"),
        (record(outbound="{mx: [.ACME.example]}"), "has upper-case letters"),
        (record(outbound="{mx: [.com]}"), "[bad-mx]"),
        (record(inbound="{networks: [0.0.0.0/0]}"), "[bad-network]"),
        (b"name: \xff\n", "is not UTF-8"),
    ],
)
def test_hostile_content_is_refused_with_a_message(
    listed: Repository,
    capsys: pytest.CaptureFixture[str],
    text: str | bytes,
    said: str,
) -> None:
    head = listed.commit({"partners/acme.yaml": text})
    assert diff(listed.base, head) == 1
    out = capsys.readouterr().out
    assert said in out.replace("``", "`")
    assert len(out) < 5000
    assert [path.name for path in Path().iterdir()] == [".git"]


def test_a_list_that_would_fill_the_memory_is_refused_unread(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    oid = listed.blob("# " + "x" * 250_000)
    listed.git("read-tree", "--empty")
    rows = "".join(f"100644 {oid}\tpartners/p{number}.yaml\n" for number in range(300))
    listed.git("update-index", "--index-info", data=rows.encode())
    assert diff(listed.base, listed.commit_index()) == 1
    assert "partners: is larger than 64 MiB." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mode", "name", "said"),
    [
        ("120000", "acme.yaml", "partners/acme.yaml: is a symbolic link."),
        ("160000", "acme.yaml", "partners/acme.yaml: is a submodule."),
        ("160000", "vendored", "partners/vendored: is a submodule."),
        ("100755", "acme.yaml", "partners/acme.yaml: has the executable bit."),
        ("100644", "deep/acme.yaml", "partners/deep: is not a regular file."),
        ("100644", "ACME.yaml", "Rename it to acme.yaml."),
        ("100644", "acme.yaml.exe", "is not a record file."),
        ("100644", "a\nb.yaml", r"partners/a\nb.yaml: must be named"),
        ("100644", ".hidden.yaml", "Rename it to hidden.yaml."),
    ],
)
def test_an_entry_that_is_not_a_plain_file_is_refused_and_never_followed(
    listed: Repository,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    name: str,
    said: str,
) -> None:
    oid = (
        listed.base
        if mode == "160000"
        else listed.blob("/etc/passwd" if mode == "120000" else ACME)
    )
    listed.git("read-tree", "--empty")
    listed.entry(mode, oid, f"partners/{name}")
    assert diff(listed.base, listed.commit_index()) == 1
    out = capsys.readouterr().out
    assert said in out
    assert "root:" not in out


def test_the_folder_itself_must_not_be_a_link(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    listed.git("read-tree", "--empty")
    listed.entry("100644", listed.blob(ACME), "elsewhere/acme.yaml")
    listed.entry("120000", listed.blob("elsewhere"), "partners")
    assert diff(listed.base, listed.commit_index()) == 1
    assert "partners: is not a folder there." in capsys.readouterr().out


def test_replaced_objects_do_not_change_the_content_of_a_revision(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    head = listed.commit({"partners/acme.yaml": WIDER})
    listed.git("replace", head, listed.base)
    assert diff(listed.base, head) == 3
    assert "WEAKENED" in capsys.readouterr().out


def test_the_working_folder_is_what_a_revision_is_compared_with(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("partners")
    folder.mkdir()
    (folder / "acme.yaml").write_text(ACME)
    assert diff(listed.base) == 0
    (folder / "acme.yaml").write_text(WIDER)
    assert diff(listed.base) == diff("main") == diff(listed.base[:12]) == 3
    assert diff("./partners", listed.base) == 0
    assert "1 tightened" in capsys.readouterr().out


def test_the_folder_can_be_anywhere_in_the_repository(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = repository.commit({"mail/list/acme.yaml": ACME})
    head = repository.commit({"mail/list/acme.yaml": WIDER})
    Path("mail").mkdir()
    assert diff(base, head, "--partners", "mail/list") == 3
    monkeypatch.chdir("mail")
    assert diff(base, head, "--partners", "list") == 3
    assert diff(base, head, "--partners", "../mail/list") == 3
    assert diff(base, head, "--partners", "../../elsewhere") == 2


def test_from_the_merge_base_only_the_branch_s_own_changes_are_reported(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    listed.git("branch", "side")
    listed.commit({"partners/acme.yaml": ACME, "partners/beta.yaml": BETA})
    listed.git("symbolic-ref", "HEAD", "refs/heads/side")
    gamma = record(name="Gamma", domains="[gamma.example]")
    side = listed.commit({"partners/acme.yaml": ACME, "partners/gamma.yaml": gamma})
    assert diff("--merge-base", "main", side) == 0
    assert "1 added\n" in capsys.readouterr().out
    assert diff("main", side) == 3
    assert diff("--merge-base", "./partners", side) == 2


def test_changes_to_different_partners_never_conflict(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    gamma = record(name="Gamma", domains="[gamma.example]")
    start = listed.commit({"partners/acme.yaml": ACME, "partners/beta.yaml": BETA})
    listed.git("branch", "side", start)
    listed.commit({"partners/acme.yaml": WIDER, "partners/beta.yaml": BETA})
    listed.git("symbolic-ref", "HEAD", "refs/heads/side")
    observed = record(name="Beta", domains="[beta.example]", mode="observe")
    listed.commit(
        {
            "partners/acme.yaml": ACME,
            "partners/beta.yaml": observed,
            "partners/gamma.yaml": gamma,
        }
    )
    listed.git("reset", "--quiet", "--hard")
    listed.git("merge", "--quiet", "--no-edit", "main")
    assert diff(start) == 3
    out = capsys.readouterr().out
    assert out.startswith("## Partner list: 2 WEAKENED, 1 added\n")


def test_the_first_list_is_all_added(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    before = repository.commit({"README.md": "x"})
    assert diff(before, repository.commit({"partners/acme.yaml": ACME})) == 0
    assert "1 added" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "`nowhere` is neither a git revision nor a folder here."),
        (["main"], "`main` is a git revision and a folder. Write ./main for the folder"),
        (["main", "main", "--output=x"], "unrecognized arguments: --output=x"),
        (["--", "--upload-pack=touch x"], "is neither a git revision nor a folder here."),
        (["main", "x" * 3000], "is neither a git revision nor a folder here."),
    ],
)
def test_what_cannot_be_compared_is_wrong_usage(
    listed: Repository,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    if arguments[0] == "main" and len(arguments) == 1:
        Path("main").mkdir()
    try:
        code = diff(*arguments)
    except SystemExit as ended:
        code = int(str(ended.code))
    reported = capsys.readouterr()
    assert (code, reported.out) == (2, "")
    assert said in reported.err
    assert not Path("x").exists()


def test_a_repository_that_git_does_not_trust_is_reported(
    listed: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert diff("main") == 2
    assert "`git config --global --add safe.directory PATH`" in capsys.readouterr().err


def test_outside_of_a_repository_folders_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name, text in (("old", ACME), ("new", WIDER)):
        Path(name).mkdir()
        Path(name, "acme.yaml").write_text(text)
    assert diff("./old", "./new") == diff("old", "new") == 3
    assert diff("main") == 2
    assert "neither a git revision nor a folder" in capsys.readouterr().err


def test_json_has_every_change_and_the_digest_is_the_same_everywhere(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    head = listed.commit({"partners/acme.yaml": WIDER, "partners/beta.yaml": BETA})
    assert diff(listed.base, head, "--json") == 3
    reported = json.loads(capsys.readouterr().out)
    assert diff(listed.base, head, "--digest") == 3
    assert capsys.readouterr().out == f"{reported['weakening_digest']}\n"
    assert diff(listed.base, head) == 3
    assert reported["weakening_digest"] in capsys.readouterr().out
    assert reported["problems"] == []
    assert reported["partners"] == {"base": 1, "head": 2}
    assert reported["weakened"] == ["Acme Motors AG"]
    assert [(one["kind"], one["weakened"], one["domains"]) for one in reported["changes"]] == [
        ("weakened", True, ["acme.example", ".acme.example"]),
        ("added", False, ["beta.example", ".beta.example"]),
    ]
    assert diff(listed.base, listed.base, "--digest") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("side", ["base", "head"])
def test_a_list_with_problems_is_reported_as_json_with_its_side(
    listed: Repository, capsys: pytest.CaptureFixture[str], side: str
) -> None:
    bad = listed.commit({"partners/acme.yaml": "name: A\n"})
    assert diff(*((bad, listed.base) if side == "base" else (listed.base, bad)), "--json") == 1
    reported = json.loads(capsys.readouterr().out)
    assert reported["side"] == side
    assert {one["code"] for one in reported["problems"]} == {"missing"}
    assert diff(listed.base, bad, "--digest") == 1
    assert capsys.readouterr().out == ""


def test_own_domains_are_refused_in_the_new_list(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    head = listed.commit({"partners/acme.yaml": ACME, "partners/beta.yaml": BETA})
    assert diff(listed.base, head, "--own-domain", "beta.example") == 1
    assert "is your own domain" in capsys.readouterr().out


def test_a_limit_leaves_lines_out_from_the_end_and_reports_it(
    listed: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    many = {
        f"partners/p{number}.yaml": record(name=f"P{number}", domains=f"[p{number}.example]")
        for number in range(40)
    }
    head = listed.commit(many)
    assert diff(listed.base, head, "--limit", "3000") == 3
    out = capsys.readouterr().out
    assert len(out) <= 3000
    assert out.count("**WEAKENED**") == 1
    left = 40 - out.count("out: a public CA")
    assert out.endswith(f"… and {left} more lines. `tlsgate partners diff` shows all.\n")
