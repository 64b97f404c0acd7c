"""The canonical form: stable, the same record, every comment kept with its key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.ca_certificates import ca_pem
from tests.unit.partners.partner_files import RECORD, load, record
from tests.unit.partners.test_partner_format import every_partner as any_partner
from tlsgate import cli
from tlsgate.partners.canonical import format_file
from tlsgate.partners.format import to_yaml
from tlsgate.partners.model import Partner

CANONICAL = """\
name: Acme Motors AG
contact: postmaster@acme.example
agreed: 2026-10-01
review: 2027-10-01
mode: enforce
tls: strong
domains: [acme.example]
subdomains: true
outbound:
  verify: pkix
inbound:
  require: tls
"""


def formatted(text: str) -> str:
    result = format_file(text.encode(), "partners/acme.yaml")
    assert result.problems == ()
    assert result.text is not None
    assert format_file(result.text.encode(), "partners/acme.yaml") == result, "not stable"
    return result.text


def test_defaults_are_written_out_in_the_order_of_the_record() -> None:
    shuffled = "\n".join(reversed(RECORD.splitlines()))
    assert formatted(RECORD) == formatted(shuffled) == formatted(f"---\n{RECORD}...\n") == CANONICAL
    assert formatted(RECORD.replace("\n", "\r\n")) == CANONICAL


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        pytest.param(
            {"mode": "enforce      # enforce | observe"},
            ["mode: enforce  # enforce | observe"],
            id="beside its key",
        ),
        pytest.param(
            {"review": "2027-10-01\n# who\n#   answers\nmode: enforce"},
            ["review: 2027-10-01", "# who", "#   answers", "mode: enforce"],
            id="above the next key",
        ),
        pytest.param(
            {"domains": "# all\n  # main\n  - b.example # shop\n  - acme.example\n  # new"},
            ["# main", "# shop", "domains: [acme.example, b.example]  # all"],
            id="in a list",
        ),
        pytest.param(
            {"domains": "[acme.example, # main\n  b.example] # shop"},
            ["# shop", "domains: [acme.example, b.example]  # main"],
            id="in a list between brackets",
        ),
        pytest.param(
            {"outbound": "# sends\n  # names\n  mx: [mx.acme.example] # mx\n  verify: pkix"},
            ["outbound:  # sends", "  verify: pkix", "  # names", "  mx: [mx.acme.example]  # mx"],
            id="in a section",
        ),
        pytest.param(
            {"inbound": "\n  require: tls\n  networks: []  # none yet"},
            ["# none yet", "inbound:", "  require: tls"],
            id="beside a key that is left out",
        ),
        pytest.param(
            {"exceptions": "[]  # none"}, ["  require: tls", "# none"], id="beside a left-out list"
        ),
        pytest.param(
            {"name": ">- # folded\n  Acme # Motors\n  AG"},
            ['name: "Acme # Motors AG"  # folded'],
            id="behind the sign of a folded text, in which a # is none",
        ),
        pytest.param({"name": '"Acme # AG"  # said'}, ['name: "Acme # AG"  # said'], id="quoted"),
        pytest.param({"name": "Acme#AG"}, ['name: "Acme#AG"'], id="no space before it"),
    ],
)
def test_comments_stay_with_their_keys(changes: dict[str, str], lines: list[str]) -> None:
    text = formatted(record(**changes))
    assert "\n".join(lines) in text
    assert text.count("#") == record(**changes).count("#")


def test_head_and_foot_of_each_document_stay_there() -> None:
    hint = "# yaml-language-server: $schema=partner.schema.json"
    second = record(name="Beta", domains="[beta.example]")
    text = formatted(f"{hint}\n# first\n\nmode: enforce\n{RECORD}# end\n---\n# second\n{second}")
    assert text.startswith(f"{hint}\n# first\nname: Acme")
    assert "  require: tls\n# end\n---\n# second\nname: Beta\n" in text


def test_a_ca_keeps_its_lines_and_its_comment() -> None:
    pem = "".join(f"    {line}\n" for line in ca_pem("A").splitlines())
    text = record(outbound=f"\n  verify: private-ca\n  # theirs\n  ca: |  # root\n{pem}")
    assert f"  verify: private-ca\n  # theirs\n  ca: |  # root\n{pem}inbound:" in formatted(text)


@given(any_partner)
def test_what_is_written_is_canonical_already(partner: Partner) -> None:
    assert formatted(to_yaml(partner)) == to_yaml(partner)


@given(any_partner, st.data())
def test_no_comment_is_lost_and_no_value_changes(partner: Partner, data: st.DataObject) -> None:
    lines = to_yaml(partner).splitlines()
    comments = []
    keys = [number for number, line in enumerate(lines) if ":" in line]  # PEM has none
    for number in data.draw(st.sets(st.sampled_from(keys), max_size=5)):
        comment = (
            f"#{number}: {data.draw(st.sampled_from(['x', 'a # b', '“é” [x]: {y}', '- k: v']))}"
        )
        comments.append(comment)
        beside = data.draw(st.booleans())
        lines[number] = f"{lines[number]} {comment}" if beside else f"  {comment}\n{lines[number]}"
    text = formatted("\n".join(lines) + "\n")
    (read,) = load(acme=text)
    assert replace(read, file="") == partner
    for comment in comments:
        assert text.count(comment) == 1
    assert sorted(text.replace("\n", " ").split()) == sorted("\n".join(lines).split())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("partners").mkdir()
    Path("partners/acme.yaml").write_text(CANONICAL)
    Path("partners/beta.yaml").write_text(record(name="Beta", domains="[beta.example]"))
    return Path("partners")


def test_check_writes_nothing_and_fmt_only_what_it_must(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "beta.yaml").read_text()
    assert cli.main(["partners", "fmt", "--check"]) == 1
    assert capsys.readouterr().out == "partners/beta.yaml: not in the canonical form\n"
    assert (folder / "beta.yaml").read_text() == before
    (folder / "beta.yaml").chmod(0o640)
    old = (folder / "acme.yaml").stat()
    assert cli.main(["partners", "fmt"]) == 0
    assert capsys.readouterr().out == "partners/beta.yaml: formatted\n"
    assert (folder / "acme.yaml").stat().st_ino == old.st_ino
    assert (folder / "beta.yaml").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["acme.yaml", "beta.yaml"]
    assert cli.main(["partners", "fmt", "--check"]) == 0


def test_a_file_with_problems_is_left_alone_and_the_others_are_formatted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text("name: [\n")
    (folder / "link.yaml").symlink_to("beta.yaml")
    assert cli.main(["partners", "fmt"]) == 1
    reported = capsys.readouterr()
    assert reported.out == "partners/beta.yaml: formatted\n"
    assert "partners/acme.yaml:2: is not YAML" in reported.err
    assert "partners/link.yaml: is a symbolic link" in reported.err
    assert (folder / "acme.yaml").read_text() == "name: [\n"
